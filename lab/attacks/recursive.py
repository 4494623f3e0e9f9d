"""The closed form carried down through the whole network: from the features that enter the head to the picture."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from lab.late import torch

from lab.attacks.base import Attack, AttackState
from lab.attacks.closed_form.mismatch import mismatch
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.gradient_matching import GradientMatching
from lab.federated.observation import Observation
from lab.options.fields import Bounds, Help
from lab.options.words import percent

if TYPE_CHECKING:
    from lab.attacks.closed_form.chain import Obstacle
    from lab.attacks.closed_form.inversion import Case

BELIEVED = 0.15
"""Relative mismatch of a peeled picture up to which gradient matching does better from there than from grey."""


@dataclass(frozen=True)
class Recursive(Attack):
    """Solve each layer for its input, top to bottom (R-GAP's family, Zhu and Blaschko, ICLR 2021).

    Where skips or a max-pooling hide single units, the overlaps of patches in a convolution's own gradient
    tell them. Of several pictures the head must set them apart; the drift of local steps is taken off in
    rounds. What breaks it is named, and gradient matching takes over from there.
    """

    hand_over: Annotated[bool, Help("let gradient matching take over where the algebra breaks")] = True
    iterations: Annotated[int, Bounds(1, 100_000, log=True), Help("steps of gradient matching after a break", "steps")] = 200

    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """A state a layer, top to bottom, then a state a step of the joint solve; grey until the picture is reached."""
        from lab.attacks.closed_form.inversion import WORTH_KEEPING, Case, grey_state

        state = grey_state(observation)
        yield state
        case = Case(observation)
        broken = case.obstacle()
        if broken is None:
            state = yield from _descend(case, state)
            if observation.local_steps > 1:
                state = yield from _straighten(observation, state)
            broken = case.verdict(state)
        elif case.features is not None:
            state = replace(state, features=case.features)
        finished = broken.outcome in (*WORTH_KEEPING, ClosedFormOutcome.PEEL_NOISE)
        if finished or not self.hand_over or not case.anything:
            yield replace(state, outcome=broken.outcome, note=broken.note)
            return
        yield from self._match(case, generator, state, broken)

    def _match(self, case: Case, generator: torch.Generator, peeled: AttackState, broken: Obstacle) -> Iterator[AttackState]:
        """Gradient matching from a peeled picture worth it, else from grey; a peeled one is kept unless that explains more."""
        from lab.attacks.closed_form.inversion import OPEN

        observation, is_open = case.observation, broken.outcome in OPEN
        found = peeled.objective <= BELIEVED and not is_open
        matching = GradientMatching(iterations=self.iterations, coarse_to_fine=not found)
        start = peeled.candidate.clamp(0, 1) if found else None
        state = peeled
        for state in matching.reconstruct(observation, generator, start):
            offset = peeled.iteration + state.iteration
            state = replace(state, iteration=offset, iterations=peeled.iteration + state.iterations)  # noqa: PLW2901
            state = replace(state, features=peeled.features, layers=peeled.layers, outcome=None)  # noqa: PLW2901
            yield state
        if is_open:
            state = within(case, state)
        after = mismatch(observation, state.candidate)
        if not case.is_short and not after < _shown_mismatch(observation, peeled):
            note = (
                f"{broken.note} Gradient matching took over but explained the shared numbers no better ({percent(after)} off)."
            )
            kept = peeled.candidate.clamp(0, 1) if is_open else peeled.candidate
            yield replace(state, candidate=kept, outcome=broken.outcome, note=note)
            return
        origin = "the peeled picture" if found else "grey"
        note = f"{broken.note} Gradient matching took over from {origin} and ends {percent(after)} off the shared numbers."
        yield replace(state, outcome=broken.outcome, note=note)


def _shown_mismatch(observation: Observation, peeled: AttackState) -> float:
    """That of a peeled picture as it is shown, its pixels in the box; infinite where there is none."""
    return mismatch(observation, peeled.candidate.clamp(0, 1)) if math.isfinite(peeled.objective) else math.inf


def within(case: Case, matched: AttackState) -> AttackState:
    """A matched state moved to the nearest picture that the equations allow, where that explains more."""
    moved = case.explaining(matched.candidate)
    before, after = (mismatch(case.observation, images) for images in (matched.candidate, moved))
    return replace(matched, candidate=moved) if after < before else matched


def _descend(case: Case, state: AttackState) -> Generator[AttackState, None, AttackState]:
    """The states of one way down; returns the last with the picture that explains most."""
    from lab.attacks.closed_form.inversion import picture_of

    before = state.iteration
    state = replace(state, objective=math.nan)
    for step in case.descend(state):
        counted = replace(step, iteration=before + step.iteration, iterations=before + step.iterations)
        yield counted
        state = counted if not step.objective > state.objective else replace(counted, **picture_of(state))
    return state


def _straighten(observation: Observation, state: AttackState) -> Generator[AttackState, None, AttackState]:
    """The way down again, each time without the drift that the last picture causes, as long as that explains more."""
    from lab.attacks.closed_form.inversion import Case, picture_of
    from lab.attacks.closed_form.local_steps import FALLS, MOST_ROUNDS, straightened

    for _ in range(MOST_ROUNDS):
        if not math.isfinite(state.objective):
            break
        straight = straightened(observation, state.candidate)
        case = None if straight is None else Case(observation, straight)
        if case is None or case.obstacle() is not None:
            break
        found = yield from _descend(case, state)
        if not found.objective < FALLS * state.objective:
            return replace(found, **picture_of(state))
        state = found
    return state
