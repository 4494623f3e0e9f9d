"""Matching through max-poolings that are soft at first, from features that the head gives away exactly."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import torch

from lab.attacks.base import Attack, AttackState, final_state
from lab.attacks.head_start import HeadStart
from lab.attacks.matching.outcomes import MatchingOutcome
from lab.federated.observation import Observation
from lab.options.fields import Bounds, Help
from lab.options.words import percent

if TYPE_CHECKING:
    from lab.attacks.matching.softened_body import SoftenedBody

FINAL_TEMPERATURE = 0.09
"""Of the first temperature the last; the client's own, 0, would freeze choices that are still wrong."""
CONSTANT_STEP_SHARE = 0.6
"""Share of the budget after which steps shrink, to ``FINAL_STEP`` of the first."""
FINAL_STEP = 0.05
PRIOR_WEIGHT = 1e-2
"""What a photograph's likelihood weighs beside the match."""


@dataclass(frozen=True)
class SoftPooling(Attack):
    """Match what a chain of convolutions and max-poolings sent, the poolings soft at first and sharper under way.

    Max-pooling cuts an update's dependence on the picture into pieces, and matching that starts in a wrong one stays there.
    Here each pooling is a softmax over its window, whose temperature falls; the features that leave the chain, and the loss's
    gradient there, are read off the head in closed form (Proposition 3.1) and stay as they are; and the picture is sought in
    coordinates in which photographs are white. Where that is barred (local steps, a head that tells no features, no
    max-pooling) this is a head start.
    """

    modality: ClassVar[str] = "images"
    iterations: Annotated[int, Bounds(1, 100_000, log=True), Help("steps of the attack", "steps")] = 1200
    restarts: Annotated[int, Bounds(1, 100), Help("attempts from different starts; the best match wins")] = 1
    temperature: Annotated[float, Bounds(0.01, 10.0, log=True), Help("of the poolings at first, in spreads of their input")] = (
        1.0
    )
    step: Annotated[float, Bounds(1e-4, 1.0, log=True), Help("of the optimiser at first, in spreads of photographs")] = 0.05

    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """A state a step of every attempt; the last one is the attempt's that matched best."""
        from lab.attacks.matching.softened_body import softened_body

        body = softened_body(observation)
        if body is None:
            yield from HeadStart(iterations=self.iterations).reconstruct(observation, generator)
            return
        finals: list[AttackState] = []
        for restart in range(self.restarts):
            last = yield from self._attempt(observation, body, generator, restart)
            finals.append(last)
        best = min(finals, key=lambda state: state.objective if math.isfinite(state.objective) else math.inf)
        yield self._ended(observation, replace(best, iteration=finals[-1].iteration))

    def _attempt(
        self, observation: Observation, body: SoftenedBody, generator: torch.Generator, restart: int
    ) -> Generator[AttackState, None, AttackState]:
        """From grey, or from a random photograph; returns the last state."""
        white = body.start(generator, noise=restart > 0).requires_grad_()
        optimiser = torch.optim.Adam([white], lr=self.step, betas=(0.9, 0.99))
        labels = observation.labels if observation.labels is not None else body.labels
        for iteration in range(self.iterations + 1):
            progress = iteration / self.iterations
            body.temperature.value = self.temperature * (1 - (1 - FINAL_TEMPERATURE) * progress)
            with torch.enable_grad():
                pixels = body.pixels(white)
                match = body.match(pixels)
                value = match + PRIOR_WEIGHT * white.square().mean() * len(pixels)
                (white.grad,) = torch.autograd.grad(value, [white])
            state = AttackState(
                iteration=restart * self.iterations + iteration,
                iterations=self.restarts * self.iterations,
                candidate=pixels.detach().clamp(0, 1),
                objective=float(match.detach()),
                terms={"distance": float(match.detach())},
                restart=restart,
                labels=labels,
                features=body.features,
            )
            if not math.isfinite(state.objective) or iteration == self.iterations:
                return state
            yield state
            optimiser.param_groups[0]["lr"] = self.step * max(FINAL_STEP, min(1.0, (1 - progress) / (1 - CONSTANT_STEP_SHARE)))
            optimiser.step()
        raise AssertionError("the last iteration returns")

    def _ended(self, observation: Observation, state: AttackState) -> AttackState:
        from lab.attacks.closed_form.mismatch import mismatch

        if not math.isfinite(state.objective):
            return final_state(observation, state, MatchingOutcome.NOT_FINITE, "")
        off = percent(mismatch(observation, state.images))
        note = f"The features that enter the head are exact; the picture's own update is {off} off the shared one."
        return final_state(observation, state, MatchingOutcome.BUDGET_SPENT, note)
