"""Gradient matching: guess a picture, compare what it would send, move it until both agree."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from lab.attacks.base import Attack
from lab.distances.base import Distance
from lab.distances.cosine import Cosine
from lab.errors import LabError
from lab.gradients import match, pull_back
from lab.labels import recover_labels
from lab.optimisers.base import Optimiser
from lab.optimisers.signed_adam import SignedAdam
from lab.options import Bounds, Help
from lab.priors.base import Prior
from lab.priors.total_variation import TotalVariation
from lab.types import AttackState, Images, LabelSource, Observation, Outcome, Targets


class Start(Enum):
    """The first candidate."""

    GREY = "grey"
    NOISE = "noise"


COARSE_STAGES = ((8, 0.15), (16, 0.35))
"""Coarse to fine: at most this many pixels a side, until this share of the budget."""


@dataclass(frozen=True)
class GradientMatching(Attack):
    """Minimise D(g(x), g*) + alpha R(x) over the picture x (Geiping et al. 2020, equation 4).

    The defaults are this lab's own schedule: grey start, signed Adam with cosine decay,
    total variation weighed against the match at each step, coarse to fine.
    """

    distance: Annotated[Distance, Help("how two updates are compared: the loss of the attack")] = Cosine()
    priors: Annotated[tuple[Prior, ...], Help("what a natural picture looks like")] = (TotalVariation(),)
    optimiser: Annotated[Optimiser, Help("what moves the candidate")] = SignedAdam(step=0.2)
    iterations: Annotated[int, Bounds(1, 100_000, log=True), Help("steps of the attack", "steps")] = 200
    restarts: Annotated[int, Bounds(1, 100), Help("attempts from different starts; the lowest distance wins")] = 1
    start: Annotated[Start, Help("the first candidate; restarts after the first always begin with noise")] = Start.GREY
    coarse_to_fine: Annotated[bool, Help("match 8x8, then 16x16, then all pixels")] = True
    boxed: Annotated[bool, Help("keep pixels in [0, 1] after each step")] = True

    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """States of every restart one after another; the last state is the best restart's."""
        finals: list[AttackState] = []
        for restart in range(self.restarts):
            state = None
            for state in self._attempt(observation, generator, restart):
                yield state
            assert state is not None
            finals.append(state)
        best = min(finals, key=lambda final: _ranking(final.terms["distance"]))
        failed = not math.isfinite(best.objective) or all(f.outcome is Outcome.NOT_FINITE for f in finals)
        outcome = Outcome.NOT_FINITE if failed else Outcome.BUDGET_SPENT
        yield replace(best, iteration=finals[-1].iteration, restart=best.restart, outcome=outcome)

    def _attempt(self, observation: Observation, generator: torch.Generator, restart: int) -> Iterator[AttackState]:
        """One restart: evaluate x_k, report it, step to x_k+1."""
        search = _Search(self, observation, generator, noise=restart > 0)
        kept: AttackState | None = None
        for iteration in range(self.iterations + 1):
            search.refine(iteration / self.iterations)
            objective, terms = search.evaluate()
            if not math.isfinite(objective):
                yield self._rescue(kept, search, restart, iteration)
                return
            kept = AttackState(
                iteration=restart * self.iterations + iteration,
                iterations=self.restarts * self.iterations,
                candidate=search.images().detach().clone(),
                objective=objective,
                terms=terms,
                restart=restart,
                labels=search.labels(),
            )
            yield kept
            search.step(iteration / self.iterations)

    def _rescue(self, kept: AttackState | None, search: _Search, restart: int, iteration: int) -> AttackState:
        """The last finite state, marked as such; the untouched start where there is none."""
        if kept is not None:
            return replace(kept, outcome=Outcome.NOT_FINITE)
        candidate = search.images().detach().clone()
        total = self.restarts * self.iterations
        terms = {"distance": math.nan}
        return AttackState(iteration, total, candidate, math.nan, terms, restart, outcome=Outcome.NOT_FINITE)


def _ranking(distance: float) -> float:
    return distance if math.isfinite(distance) else math.inf


class _Search:
    """The moving parts of one restart: the picture's pixels, the label logits, torch's stepper."""

    def __init__(self, attack: GradientMatching, observation: Observation, generator: torch.Generator, *, noise: bool) -> None:
        self.attack = attack
        self.observation = observation
        self.size = observation.image_shape[1:]
        start = self._start(generator, noise=noise or attack.start is Start.NOISE)
        self.pixels = start.to(observation.device).requires_grad_()
        self.logits, self.fixed = self._targets(generator)
        self.rule = partial(observation.protocol.update, observation.network, differentiable=True)
        self.stepper = attack.optimiser.stepper(self._leaves())
        self.pending: float | None = None

    def _start(self, generator: torch.Generator, *, noise: bool) -> Images:
        """Mid-grey, or the standard normal of the paper brought to pixel units (mean 0.5, deviation 0.25)."""
        dtype = next(iter(self.observation.update.values())).dtype
        shape = (self.observation.batch_size, *self.observation.image_shape)
        grey = torch.full(shape, 0.5, dtype=dtype)
        return grey + 0.25 * torch.randn(shape, generator=generator, dtype=dtype) if noise else grey

    def _targets(self, generator: torch.Generator) -> tuple[Tensor | None, Targets | None]:
        """Free label logits (DLG's joint recovery), or labels given or recovered."""
        observation = self.observation
        if observation.label_source is LabelSource.JOINT:
            shape = (observation.batch_size, observation.classes)
            noise = torch.randn(shape, generator=generator, dtype=self.pixels.dtype)
            return noise.to(observation.device).requires_grad_(), None
        if observation.label_source is LabelSource.INFERRED:
            return None, recover_labels(observation)
        if observation.labels is None:
            raise LabError("The labels are said to be known, but the observation holds none; infer them instead.")
        return None, observation.labels

    def _leaves(self) -> list[Tensor]:
        return [self.pixels] if self.logits is None else [self.pixels, self.logits]

    def images(self) -> Images:
        """The candidate in full resolution."""
        if self.pixels.shape[-2:] == self.size:
            return self.pixels
        return functional.interpolate(self.pixels, self.size, mode="bilinear", align_corners=False)

    def labels(self) -> Tensor | None:
        """The labels as believed at present."""
        return self.fixed if self.logits is None else self.logits.detach().argmax(1)

    def refine(self, progress: float) -> None:
        """Change the resolution where the next stage begins; torch's stepper starts afresh there."""
        wanted = self._resolution(progress)
        if self.pixels.shape[-2:] == wanted:
            return
        with torch.no_grad():
            images = functional.interpolate(self.images(), wanted, mode="bilinear", align_corners=False, antialias=True)
        self.pixels = images.requires_grad_()
        self.stepper = self.attack.optimiser.stepper(self._leaves())

    def _resolution(self, progress: float) -> tuple[int, ...]:
        stages = COARSE_STAGES if self.attack.coarse_to_fine else ()
        coarse = next((pixels for pixels, until in stages if progress < until), None)
        return self.size if coarse is None else tuple(min(side, coarse) for side in self.size)

    def evaluate(self) -> tuple[float, dict[str, float]]:
        """The objective and its terms at the candidate; leaves each leaf's gradient behind."""
        images = self.images()
        targets = self.fixed if self.logits is None else self.logits.softmax(1)
        assert targets is not None
        found = match(self.rule, images, targets, self.attack.distance, self.observation.update)
        terms = {"distance": float(found.distance)}
        slope = found.image_gradient
        objective = terms["distance"]
        for prior in self.attack.priors:
            value, prior_slope = _slope(prior, images)
            terms[prior.name] = value
            slope = slope + prior.share(prior_slope, found.image_gradient) * prior_slope
            objective += 0.0 if prior.relative else prior.weight * value
        self._set_gradients(images, slope, targets, found.target_gradient)
        self.pending = objective
        return objective, terms

    def _set_gradients(self, images: Images, slope: Images, targets: Targets, target_slope: Tensor | None) -> None:
        pulled = slope if images is self.pixels else pull_back([images], [self.pixels], [slope])[0]
        self.pixels.grad = self.attack.optimiser.direction(pulled)
        if self.logits is not None and target_slope is not None:
            self.logits.grad = pull_back([targets], [self.logits], [target_slope])[0]

    def step(self, progress: float) -> None:
        """One step of torch's stepper, then back into the box."""
        for group in self.stepper.param_groups:
            group["lr"] = self.attack.optimiser.step * self.attack.optimiser.schedule.factor(progress)
        self.stepper.step(self._closure)
        if self.attack.boxed:
            with torch.no_grad():
                self.pixels.clamp_(0, 1)

    def _closure(self) -> float:
        """The objective with gradients in place; the first call of a step uses what ``evaluate`` just found."""
        if self.pending is None:
            self.evaluate()
        assert self.pending is not None
        value, self.pending = self.pending, None
        return value


def _slope(prior: Prior, images: Images) -> tuple[float, Tensor]:
    leaf = images.detach().requires_grad_()
    value = prior(leaf)
    return float(value.detach()), torch.autograd.grad(value, leaf)[0]
