"""The picture that shows known features: L-BFGS on ||M (f(x) - known)||^2, which needs no gradient of a gradient."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from lab.attacks.matching.optimisers.quasi_newton import QuasiNewtonStepper
from lab.attacks.matching.optimisers.stepper import AdamStepper

PRECISION = torch.float32
"""Features from float32 gradients carry no more digits, and half the bytes are twice as fast."""
CHUNK = 25
"""Iterations between two looks."""
MOST_CHUNKS = 60
PATIENCE = 4
"""The misfit must fall to ``FALLS`` of what it was so many looks ago."""
FALLS = 0.8
FLAT = 1e-4
"""A step that gains less, as a share of the square misfit, is the last one before the next look."""
FITS = 1e-6
STUCK = 1e-3
"""A relative misfit at which L-BFGS ends only between two kinks: annealed once more, it goes on."""
HISTORY = 100
ANNEALING = 250
"""Iterations of Adam."""
FIRST_STEP = 0.2
"""In units of the normalised picture: a twentieth of what a pixel can be."""
FIRST_NOISE = 0.4


@dataclass(frozen=True, eq=False)
class Measured:
    """What is known of a feature map."""

    modules: Sequence[nn.Module]
    """From the normalised picture to the feature map."""
    values: Tensor
    """The feature map, shape (1, channels, height, width)."""
    directions: Tensor | None
    """The mixtures of its places that are known, orthonormal, shape (known, places); None if all of it is."""

    @property
    def numbers(self) -> int:
        """How many numbers are known."""
        return self.values.numel() if self.directions is None else len(self.directions) * self.values.shape[1]

    @property
    def chooses(self) -> bool:
        """Whether a max-pooling lies on the way: which input it keeps is settled only near the right picture."""
        return any(isinstance(part, nn.MaxPool2d) for module in self.modules for part in module.modules())

    @cached_property
    def _network(self) -> nn.Module:
        return nn.Sequential(*deepcopy(list(self.modules))).to(PRECISION).requires_grad_(requires_grad=False)

    def misfit(self, picture: Tensor) -> Tensor:
        """||M (f(x) - known)||^2 / ||M known||^2."""
        wrong = self._told(self._network(picture) - self.values.to(PRECISION))
        return wrong.square().sum() / self._size

    @cached_property
    def _size(self) -> Tensor:
        return self._told(self.values.to(PRECISION)).square().sum().clamp_min(1e-30)

    def _told(self, values: Tensor) -> Tensor:
        places = values[0].flatten(1).T
        return places if self.directions is None else self.directions.to(PRECISION) @ places


def search(measured: Measured, start: Tensor) -> Iterator[Tensor]:
    """Pictures (1, channels, height, width), normalised, float64, that show the features better and better."""
    picture = start.to(PRECISION).clone().requires_grad_()
    if measured.chooses:
        yield from _annealed(measured, picture)
    misfit = yield from _refined(measured, picture)
    if misfit > STUCK:
        yield from _annealed(measured, picture)
        yield from _refined(measured, picture)


def _annealed(measured: Measured, picture: Tensor) -> Iterator[Tensor]:
    """Adam on noisy copies, noise and step shrinking together: sharp choices (max-pooling's, ReLUs') blur, then settle."""
    stepper, look = AdamStepper([picture], FIRST_STEP), _Look(measured, picture)
    generator = torch.Generator().manual_seed(0)
    for iteration in range(ANNEALING):
        fade = (1 + math.cos(math.pi * iteration / ANNEALING)) / 2
        stepper.param_groups[0]["lr"] = FIRST_STEP * fade
        noise = torch.randn(picture.shape, generator=generator, dtype=PRECISION)
        stepper.step(partial(look.beside, FIRST_NOISE * fade * noise))
        if iteration % CHUNK == CHUNK - 1:
            yield picture.detach().double()


def _refined(measured: Measured, picture: Tensor) -> Generator[Tensor, None, float]:
    """L-BFGS, until little is gained; returns the relative misfit reached."""
    stepper, look = QuasiNewtonStepper([picture], 1.0, HISTORY), _Look(measured, picture)
    misfits = [math.inf] * PATIENCE
    for _ in range(MOST_CHUNKS):
        _walk(stepper, look)
        misfits.append(look() ** 0.5)
        if not math.isfinite(misfits[-1]):
            break
        yield picture.detach().double()
        if misfits[-1] <= FITS or misfits[-1] > FALLS * misfits[-1 - PATIENCE]:
            break
    return misfits[-1]


def _walk(stepper: QuasiNewtonStepper, look: _Look) -> None:
    """Up to ``CHUNK`` steps; fewer where the misfit falls no more, as at the end of the precision."""
    for _ in range(CHUNK):
        before = look()
        stepper.step(look)
        if look() > (1 - FLAT) * before:
            return


class _Look:
    """The misfit of a picture, its gradient left behind; a step begins where the last one ended, and is told what was seen."""

    def __init__(self, measured: Measured, picture: Tensor) -> None:
        self.measured, self.picture = measured, picture
        self.seen: Tensor | None = None
        self.misfit = math.inf

    def __call__(self) -> float:
        if self.seen is None or not torch.equal(self.seen, self.picture):
            self.misfit = self.at(self.picture)
            self.seen = self.picture.detach().clone()
        return self.misfit

    def beside(self, noise: Tensor) -> float:
        """Of a noisy copy."""
        return self.at(self.picture + noise)

    def at(self, shown: Tensor) -> float:
        """Of anything that the picture leads to."""
        misfit = self.measured.misfit(shown)
        self.picture.grad = torch.autograd.grad(misfit, self.picture)[0]
        return float(misfit.detach())
