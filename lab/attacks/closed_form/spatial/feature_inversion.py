"""The picture that shows known features: L-BFGS on ||M (f(x) - known)||^2, which needs no gradient of a gradient.

Its steps are taken in variables that the lowest convolution sees about equally. In plain pixels those of a trained one
are so unequal that the search gives up as too slow before the end, a picture tenths of a percent off the shared numbers.
Where it ends between the kinks of dead units, some pixels are mostly darker than black or brighter than white; put back
into the box, it goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from lab.lazy import Float

from lab.attacks.closed_form.chain import is_plain
from lab.attacks.closed_form.conditioning import whitener
from lab.attacks.closed_form.shapes import FeatureMaps
from lab.attacks.matching.optimisers.quasi_newton import QuasiNewtonStepper
from lab.attacks.matching.optimisers.stepper import AdamStepper

PRECISION = torch.float32
"""Features from float32 gradients carry no more digits, and half the bytes are twice as fast."""
CHUNK = 25
"""Iterations between two looks."""
MAX_CHUNKS = 60
PATIENCE = 4
"""The residual must fall to ``SUFFICIENT_DECREASE`` of what it was so many looks ago."""
SUFFICIENT_DECREASE = 0.8
MIN_GAIN = 1e-4
"""A step that gains less, as a share of the square residual, is the last one before the next look."""
SOLVED_RESIDUAL = 1e-6
BETWEEN_KINKS = 1e-3
"""A relative residual at which L-BFGS ends only between two kinks: moved off them, it goes on."""
HISTORY = 100
ANNEALING = 250
"""Iterations of Adam."""
FIRST_STEP = 0.2
"""In units of the normalised picture: a twentieth of what a pixel can be."""
FIRST_NOISE = 0.4


@dataclass(frozen=True, eq=False)
class KnownFeatures:
    """What is known of a feature map."""

    modules: Sequence[nn.Module]
    """From the normalised picture to the feature map."""
    values: Float[Tensor, "1 channels height width"]
    """The feature map, shape (1, channels, height, width)."""
    directions: Float[Tensor, "known positions"] | None
    """The mixtures of its places that are known, orthonormal, shape (known, places); None if all of it is."""

    @property
    def numbers(self) -> int:
        """How many numbers are known."""
        return self.values.numel() if self.directions is None else len(self.directions) * self.values.shape[1]

    @property
    def has_max_pooling(self) -> bool:
        """Whether a max-pooling lies on the way: which input it keeps is settled only near the right picture."""
        return any(isinstance(part, nn.MaxPool2d) for module in self.modules for part in module.modules())

    @cached_property
    def _network(self) -> nn.Module:
        return nn.Sequential(*deepcopy(list(self.modules))).to(PRECISION).requires_grad_(requires_grad=False)

    def metric(self, shape: tuple[int, ...]) -> Callable[[FeatureMaps], FeatureMaps] | None:
        """The inverse of W* W for pictures of ``shape``, W the lowest convolution; None where something else is lowest."""
        lowest = next(self._network.children(), None)
        if not isinstance(lowest, nn.Conv2d) or not is_plain(lowest):
            return None
        whiten = whitener(lowest, shape)
        return lambda gradient: whiten(whiten(gradient))

    def residual(self, picture: FeatureMaps) -> Float[Tensor, ""]:
        """||M (f(x) - known)||^2 / ||M known||^2."""
        wrong = self._determined_part(self._network(picture) - self.values.to(PRECISION))
        return wrong.square().sum() / self._size

    @cached_property
    def _size(self) -> Tensor:
        return self._determined_part(self.values.to(PRECISION)).square().sum().clamp_min(1e-30)

    def _determined_part(self, values: Tensor) -> Tensor:
        positions = values[0].flatten(1).T
        return positions if self.directions is None else self.directions.to(PRECISION) @ positions


@dataclass(frozen=True, eq=False)
class Box:
    """The pictures there are, from all black to all white, normalised, shape (1, channels, height, width) each."""

    black: FeatureMaps
    white: FeatureMaps

    @property
    def grey(self) -> FeatureMaps:
        """The middle."""
        return (self.black + self.white) / 2

    def leaves_out(self, picture: FeatureMaps) -> bool:
        """Whether no picture has some of these pixels."""
        return bool(((picture < self.black) | (picture > self.white)).any())

    def nearest(self, picture: FeatureMaps) -> FeatureMaps:
        """The nearest that there is."""
        return picture.clamp(self.black.to(picture), self.white.to(picture))


def invert_features(features: KnownFeatures, box: Box) -> Iterator[FeatureMaps]:
    """Pictures (1, channels, height, width), normalised, float64, that show the features better and better, from grey."""
    picture = box.grey.to(PRECISION).requires_grad_()
    if features.has_max_pooling:
        yield from _annealed(features, picture)
    residual = yield from _refined(features, picture)
    if residual > BETWEEN_KINKS and box.leaves_out(picture):
        picture = box.nearest(picture.detach()).requires_grad_()
        residual = yield from _refined(features, picture)
    if residual > BETWEEN_KINKS:
        yield from _annealed(features, picture)
        yield from _refined(features, picture)


def _annealed(features: KnownFeatures, picture: Tensor) -> Iterator[Tensor]:
    """Adam on noisy copies, noise and step shrinking together: sharp choices (max-pooling's, ReLUs') blur, then settle."""
    stepper, objective = AdamStepper([picture], FIRST_STEP), _Objective(features, picture)
    generator = torch.Generator().manual_seed(0)
    for iteration in range(ANNEALING):
        fade = (1 + math.cos(math.pi * iteration / ANNEALING)) / 2
        stepper.param_groups[0]["lr"] = FIRST_STEP * fade
        noise = torch.randn(picture.shape, generator=generator, dtype=PRECISION)
        stepper.step(partial(objective.with_noise, FIRST_NOISE * fade * noise))
        if iteration % CHUNK == CHUNK - 1:
            yield picture.detach().double()


def _refined(features: KnownFeatures, picture: Tensor) -> Generator[Tensor, None, float]:
    """L-BFGS, until little is gained; returns the relative residual reached."""
    stepper = QuasiNewtonStepper([picture], 1.0, HISTORY, features.metric(tuple(picture.shape)))
    objective = _Objective(features, picture)
    residuals = [math.inf] * PATIENCE
    for _ in range(MAX_CHUNKS):
        _run_chunk(stepper, objective)
        residuals.append(objective() ** 0.5)
        if not math.isfinite(residuals[-1]):
            break
        yield picture.detach().double()
        if residuals[-1] <= SOLVED_RESIDUAL or residuals[-1] > SUFFICIENT_DECREASE * residuals[-1 - PATIENCE]:
            break
    return residuals[-1]


def _run_chunk(stepper: QuasiNewtonStepper, objective: _Objective) -> None:
    """Up to ``CHUNK`` steps; fewer where the residual falls no more, as at the end of the precision."""
    for _ in range(CHUNK):
        before = objective()
        stepper.step(objective)
        if objective() > (1 - MIN_GAIN) * before:
            return


class _Objective:
    """The residual of a picture, its gradient left behind; a step begins where the last one ended, whose value is kept."""

    def __init__(self, features: KnownFeatures, picture: Tensor) -> None:
        self.features, self.picture = features, picture
        self.seen: Tensor | None = None
        self.residual = math.inf

    def __call__(self) -> float:
        if self.seen is None or not torch.equal(self.seen, self.picture):
            self.residual = self.at(self.picture)
            self.seen = self.picture.detach().clone()
        return self.residual

    def with_noise(self, noise: Tensor) -> float:
        """Of a noisy copy."""
        return self.at(self.picture + noise)

    def at(self, shown: Tensor) -> float:
        """Of anything that the picture leads to."""
        residual = self.features.residual(shown)
        self.picture.grad = torch.autograd.grad(residual, self.picture)[0]
        return float(residual.detach())
