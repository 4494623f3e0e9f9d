"""The moving parts of one attempt at gradient matching: pixels, label logits, and what steps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from lab.errors import LabError
from lab.gradients import Matcher, pull_back
from lab.labels import recover_labels
from lab.priors.base import Prior
from lab.types import Images, Labels, LabelSource, Observation, Targets

if TYPE_CHECKING:
    from lab.attacks.gradient_matching import GradientMatching

COARSE_STAGES = ((8, 0.15), (16, 0.35))
"""Coarse to fine: at most this many pixels a side, until this share of the budget."""
NOISE_DEVIATION = 0.25
"""The paper starts from a standard normal in normalised units; a unit there is about 0.25 in pixels."""


class Search:
    """One attempt: ``evaluate`` the candidate, then ``step`` it; ``refine`` before each changes the resolution."""

    def __init__(
        self, attack: GradientMatching, observation: Observation, matcher: Matcher, generator: torch.Generator, *, noise: bool
    ) -> None:
        self.attack = attack
        self.observation = observation
        self.matcher = matcher
        self.size = observation.image_shape[1:]
        self.pixels = self._start(generator, noise=noise).requires_grad_()
        self.logits, self.fixed = self._targets(generator)
        self.stepper = attack.optimiser.stepper(self._leaves())
        self.shares: list[Tensor | float] = []
        self.pending: Tensor | float | None = None

    def _start(self, generator: torch.Generator, *, noise: bool) -> Images:
        """Mid-grey, or normal noise around it, in the resolution of the first stage."""
        like = next(iter(self.observation.update.values()))
        shape = (self.observation.batch_size, self.observation.image_shape[0], *self._resolution(0.0))
        grey = torch.full(shape, 0.5, dtype=like.dtype, device=like.device)
        if not noise:
            return grey
        return grey + NOISE_DEVIATION * torch.randn(shape, generator=generator, dtype=like.dtype).to(like.device)

    def _targets(self, generator: torch.Generator) -> tuple[Tensor | None, Labels | None]:
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

    def labels(self) -> Labels | None:
        """The labels as believed at present."""
        return self.fixed if self.logits is None else self.logits.detach().argmax(1)

    def refine(self, progress: float) -> None:
        """Change the resolution where the next stage begins; the stepper starts afresh there."""
        wanted = self._resolution(progress)
        if self.pixels.shape[-2:] == wanted:
            return
        with torch.no_grad():
            finer = functional.interpolate(self.pixels, wanted, mode="bilinear", align_corners=False)
        self.pixels = finer.requires_grad_()
        self.stepper = self.attack.optimiser.stepper(self._leaves())

    def _resolution(self, progress: float) -> tuple[int, ...]:
        stages = COARSE_STAGES if self.attack.coarse_to_fine else ()
        coarse = next((pixels for pixels, until in stages if progress < until), None)
        return self.size if coarse is None else tuple(min(side, coarse) for side in self.size)

    def evaluate(self) -> tuple[float, dict[str, float]]:
        """The objective and its terms at the candidate; leaves each leaf's gradient behind.

        A relative prior steers, but its price is no part of the objective: its factor changes at each step.
        """
        self.shares = []
        terms = self._gradients()
        fixed = (prior.weight * terms[prior.name] for prior in self.attack.priors if not prior.relative)
        return terms["distance"] + sum(fixed), terms

    def _gradients(self) -> dict[str, float]:
        """Set the gradients of all leaves; the prior's factors are those of the step's first evaluation."""
        images = self.images()
        targets: Targets | None = self.fixed if self.logits is None else self.logits.softmax(1)
        assert targets is not None
        found = self.matcher(images, targets)
        slopes = [_slope(prior, images) for prior in self.attack.priors]
        if not self.shares:
            pairs = zip(self.attack.priors, slopes, strict=True)
            self.shares = [prior.share(slope, found.image_gradient) for prior, (_, slope) in pairs]
        total, value = found.image_gradient, found.distance
        for share, (price, slope) in zip(self.shares, slopes, strict=True):
            total, value = total + share * slope, value + share * price
        self.pending = value
        self._leave(images, total, targets, found.target_gradient)
        prices = {prior.name: float(price) for prior, (price, _) in zip(self.attack.priors, slopes, strict=True)}
        return {"distance": float(found.distance), **prices}

    def _leave(self, images: Images, slope: Images, targets: Targets, target_slope: Tensor | None) -> None:
        pulled = slope if images is self.pixels else pull_back([images], [self.pixels], [slope])[0]
        self.pixels.grad = self.attack.optimiser.direction(pulled)
        if self.logits is not None and target_slope is not None:
            self.logits.grad = pull_back([targets], [self.logits], [target_slope])[0]

    def step(self, progress: float) -> None:
        """One step of the stepper, then back into the box."""
        for group in self.stepper.param_groups:
            group["lr"] = self.attack.optimiser.step * self.attack.optimiser.schedule.factor(progress)
        self.stepper.step(self._closure)
        if self.attack.boxed:
            with torch.no_grad():
                self.pixels.clamp_(0, 1)

    def _closure(self) -> float:
        """What the stepper lowers, with gradients in place; the first call of a step uses what ``evaluate`` found."""
        if self.pending is None:
            self._gradients()
        assert self.pending is not None
        value, self.pending = self.pending, None
        return float(value)


def _slope(prior: Prior, images: Images) -> tuple[Tensor, Images]:
    leaf = images.detach().requires_grad_()
    value = prior(leaf)
    return value.detach(), torch.autograd.grad(value, leaf)[0]
