"""The input of a convolution from its weight gradient alone, where the slopes above are known but for a few units.

With the slopes dz known, dL/dW is linear in the input, with the same matrix for each input channel. A ReLU's
unit whose value is smaller than the error may be taken for silent though it is active; its whole channel of slopes is
then wrong, and its equations alone do not fit. So channels that do not fit count less and less, and what is
left tells which of their units are active.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab.peeling.convolution import Convolution

FITS = 1e-5
"""Relative residual of a channel's equations up to which its slopes are right: float32 leaves some 1e-7."""
TOLD = 1e-3
"""Singular values above this share of the largest tell a mixture of pixels well enough to build on it."""
SEEN = 1e-6
"""Singular values below this share of the largest are rounding."""
HALFWAY = 0.5
"""Between a silent unit's share of its slope, 0, and an active one's, 1."""
REWEIGHTINGS = 12
SETTLINGS = 3
FAINTEST = 0.03
"""A channel's residual is compared with its own gradient, and at least with this share of the mean channel's."""


@dataclass(frozen=True, eq=False)
class Branch:
    """One convolution on the input: its weight gradient, and its output's slope where the unit above is active."""

    convolution: Convolution
    gradient: Tensor
    slope: Tensor
    """dL/dz of each output if its unit is active, shape (1, outputs, height, width)."""
    active: Tensor
    """Which are taken for active; boolean, same shape."""

    @property
    def taps(self) -> int:
        """Equations of one output channel for each input channel."""
        return self.gradient[0, 0].numel()

    def matrix(self) -> Tensor:
        """The equations of one input channel: (outputs x taps, pixels)."""
        height, width = self.convolution.input_shape[2:]
        single = torch.eye(height * width, dtype=self.slope.dtype).view(-1, 1, height, width)
        seen = replace(self.convolution, input_shape=tuple(single.shape)).patches(single)
        slopes = (self.slope * self.active)[0].flatten(1)
        return torch.einsum("op,txp->otx", slopes, seen.unflatten(1, (len(single), -1))).flatten(0, 1)

    def target(self) -> Tensor:
        """The right-hand sides: (outputs x taps, inputs)."""
        return self.gradient.flatten(2).transpose(1, 2).flatten(0, 1)

    def settled(self, values: Tensor, doubted: Tensor) -> Branch:
        """With the active units of the doubted output channels read again from an input that fits all others."""
        told = torch.linalg.lstsq(self.convolution.patches(values), self.gradient[doubted].flatten(1).T).solution
        share = told.T.unflatten(1, tuple(self.slope.shape[2:])) / self.slope[0, doubted]
        active = self.active.clone()
        active[0, doubted] = share > HALFWAY
        return replace(self, active=active)


@dataclass(frozen=True, eq=False)
class Solution:
    """An input; of one with more pixels than its equations tell, the shortest of those that fit."""

    values: Tensor
    """Shape (1, channels, height, width)."""
    directions: Tensor
    """The mixtures of pixels that the equations tell, orthonormal, shape (rank, pixels)."""
    active: tuple[Tensor, ...]
    """Which units above were active, a tensor a branch."""
    condition: float
    residual: float
    """Relative, of the median channel."""
    iterations: int

    @property
    def determined(self) -> bool:
        """Whether each pixel is told."""
        return len(self.directions) == self.directions.shape[1]


def unmix(branches: Sequence[Branch]) -> Solution:
    """The input that all of these branches see."""
    fits, iterations = [], 0
    for _ in range(SETTLINGS):
        fits = list(_Equations(branches).reweighted())
        iterations += len(fits)
        if fits[-1].fits:
            break
        doubted = [misfit > FITS for misfit in fits[-1].misfits]
        values = fits[-1].values(branches)
        branches = [branch.settled(values, those) for branch, those in zip(branches, doubted, strict=True)]
    last = fits[-1]
    return Solution(
        last.values(branches),
        last.directions,
        tuple(branch.active for branch in branches),
        last.condition,
        float(torch.cat(last.misfits).median()),
        iterations,
    )


@dataclass(frozen=True, eq=False)
class _Fit:
    """One weighted least-squares solution."""

    pixels: Tensor
    """Shape (pixels, inputs)."""
    directions: Tensor
    condition: float
    misfits: list[Tensor]
    """Relative residual of each output channel's equations, a tensor a branch."""

    @property
    def fits(self) -> bool:
        """Whether each channel's equations hold."""
        return all(bool((misfit <= FITS).all()) for misfit in self.misfits)

    @property
    def most_fit(self) -> bool:
        """Whether at least half of the channels do, so clearly that the others must be wrong."""
        return float(torch.cat(self.misfits).median()) <= FITS / 3

    def values(self, branches: Sequence[Branch]) -> Tensor:
        """As an input of the branches' convolutions."""
        return self.pixels.T.reshape(branches[0].convolution.input_shape)


class _Equations:
    """The equations of all branches, one above the other."""

    def __init__(self, branches: Sequence[Branch]) -> None:
        self.branches = branches
        targets = [branch.target() for branch in branches]
        sizes = [float(target.square().mean().sqrt().clamp_min(1e-300)) for target in targets]
        self.target = torch.cat([target / size for target, size in zip(targets, sizes, strict=True)])
        self.matrix = torch.cat([branch.matrix() / size for branch, size in zip(branches, sizes, strict=True)])

    def reweighted(self) -> Iterator[_Fit]:
        """Solutions in which channels that did not fit the one before count less."""
        weights = torch.ones(len(self.matrix), dtype=self.matrix.dtype)
        for count in range(REWEIGHTINGS):
            fit = self._fit(weights)
            yield fit
            if fit.fits or (count and fit.most_fit):
                return
            channels = [(FITS / 10 / misfit.clamp_min(FITS / 10)) for misfit in fit.misfits]
            taps = [branch.taps for branch in self.branches]
            weights = torch.cat([one.repeat_interleave(each) for one, each in zip(channels, taps, strict=True)])
            weights /= weights.max()

    def _fit(self, weights: Tensor) -> _Fit:
        left, sizes, right = torch.linalg.svd(self.matrix * weights[:, None], full_matrices=False)
        seen, told = sizes > SEEN * sizes[0], sizes > TOLD * sizes[0]
        pixels = right[seen].T @ ((left[:, seen].T @ (self.target * weights[:, None])) / sizes[seen, None])
        return _Fit(pixels, right[told], float(sizes[0] / sizes[told][-1]), self._misfits(pixels))

    def _misfits(self, pixels: Tensor) -> list[Tensor]:
        wrong = self.matrix @ pixels - self.target
        rows = [len(branch.gradient) * branch.taps for branch in self.branches]
        parts = zip(self.branches, wrong.split(rows), self.target.split(rows), strict=True)
        return [_relative(*(each.unflatten(0, (-1, branch.taps)) for each in pair)) for branch, *pair in parts]


def _relative(wrong: Tensor, target: Tensor) -> Tensor:
    """Norms of the channels' residuals over those of their targets."""
    sizes = target.norm(dim=(1, 2))
    return wrong.norm(dim=(1, 2)) / sizes.clamp_min(FAINTEST * float(sizes.mean()))
