"""The input of a convolution from its weight gradient alone, where the output's gradient is known but for a few units.

With dz known, dL/dW is linear in the input, with the same matrix for each input channel. A ReLU's
unit whose value is smaller than the error may be taken for silent though it is active; its whole channel of dz is
then wrong, and its equations alone do not fit. So the few channels are found without which all others fit, and
what is left tells which of their units are active.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab.lazy import Bool, Float

from lab.attacks.closed_form.convolution import Convolution
from lab.attacks.closed_form.shapes import FeatureMaps, InputMaps, Kernels, OutputMaps, OutputMask, UnitMask

CONSISTENT_RESIDUAL = 1e-5
"""Relative residual of a channel's equations up to which its dz is right: float32 leaves some 1e-7."""
DETERMINED_SINGULAR_VALUE = 1e-3
"""Singular values above this share of the largest tell a mixture of pixels well enough to build on it."""
RANK_TOLERANCE = 1e-6
"""Singular values below this share of the largest are rounding."""
ACTIVE_THRESHOLD = 0.5
"""Between a silent unit's share of its gradient, 0, and an active one's, 1."""
MIN_REDUNDANCY = 1e-6
"""A channel whose equations the others leave less room than this share tells nothing that could be wrong."""
MAX_ROUNDS = 3
MIN_CHANNEL_SHARE = 0.03
"""A channel's residual is compared with its own gradient, and at least with this share of the mean channel's."""


@dataclass(frozen=True, eq=False)
class Branch:
    """One convolution on the input: its weight gradient, and its output's gradient where the unit above is active."""

    convolution: Convolution
    gradient: Kernels
    output_gradient: OutputMaps
    """dL/dz of each output if its unit is active, shape (1, outputs, height, width)."""
    active: OutputMask
    """Which are taken for active; boolean, same shape."""

    @property
    def taps(self) -> int:
        """Equations of one output channel for each input channel."""
        return self.gradient[0, 0].numel()

    def matrix(self) -> Float[Tensor, "equations pixels"]:
        """The equations of one input channel: (outputs x taps, pixels)."""
        height, width = self.convolution.input_shape[2:]
        single = torch.eye(height * width, dtype=self.output_gradient.dtype).view(-1, 1, height, width)
        seen = replace(self.convolution, input_shape=tuple(single.shape)).patches(single)
        output_gradients = (self.output_gradient * self.active)[0].flatten(1)
        return torch.einsum("op,txp->otx", output_gradients, seen.unflatten(1, (len(single), -1))).flatten(0, 1)

    def target(self) -> Float[Tensor, "equations inputs"]:
        """The right-hand sides: (outputs x taps, inputs)."""
        return self.gradient.flatten(2).transpose(1, 2).flatten(0, 1)

    def reestimated(self, values: InputMaps, uncertain: Bool[Tensor, " outputs"]) -> Branch:
        """With the active units of the uncertain output channels read again from an input that fits all others."""
        estimated = torch.linalg.lstsq(self.convolution.patches(values), self.gradient[uncertain].flatten(1).T).solution
        share = estimated.T.unflatten(1, tuple(self.output_gradient.shape[2:])) / self.output_gradient[0, uncertain]
        active = self.active.clone()
        active[0, uncertain] = share > ACTIVE_THRESHOLD
        return replace(self, active=active)


@dataclass(frozen=True, eq=False)
class Solution:
    """An input; of one with more pixels than its equations tell, the shortest of those that fit."""

    values: FeatureMaps
    """Shape (1, channels, height, width)."""
    directions: Float[Tensor, "rank pixels"]
    """The mixtures of pixels that the equations tell, orthonormal, shape (rank, pixels)."""
    active: tuple[UnitMask, ...]
    """Which units above were active, a tensor a branch."""
    condition: float
    residual: float
    """Relative, of the median channel of the worst branch."""
    iterations: int

    @property
    def determined(self) -> bool:
        """Whether each pixel is told."""
        return len(self.directions) == self.directions.shape[1]


def robust_least_squares(branches: Sequence[Branch]) -> Solution:
    """The input that all of these branches see."""
    equations, tries = _Equations(branches), 1
    wrong = equations.wrong_channels()
    while any(channels.any() for channels in wrong) and tries < MAX_ROUNDS:
        values = equations.solved_without(wrong).values
        branches = [branch.reestimated(values, those) for branch, those in zip(branches, wrong, strict=True)]
        equations, tries = _Equations(branches), tries + 1
        wrong = equations.wrong_channels()
    return replace(equations.solved_without(wrong), iterations=tries)


class _Equations:
    """The equations of all branches, one above the other."""

    def __init__(self, branches: Sequence[Branch]) -> None:
        self.branches = branches
        targets = [branch.target() for branch in branches]
        sizes = [float(target.square().mean().sqrt().clamp_min(1e-300)) for target in targets]
        self.target = torch.cat([target / size for target, size in zip(targets, sizes, strict=True)])
        self.matrix = torch.cat([branch.matrix() / size for branch, size in zip(branches, sizes, strict=True)])
        self.rows = _rows(branches)

    def wrong_channels(self) -> list[Tensor]:
        """Which output channels' equations do not fit those of all others, a boolean tensor a branch.

        One wrong channel leaves something of itself in the residual of each. But only it explains the whole of that:
        set free, as if it had unknowns of its own, it leaves nothing. Of several the one that explains most is set free
        first (orthogonal matching pursuit), as long as there are more equations than unknowns.
        """
        rows = self.rows
        basis, sizes, _ = torch.linalg.svd(self.matrix, full_matrices=False)
        basis = basis[:, sizes > RANK_TOLERANCE * sizes[0]]
        free = [torch.zeros(len(own), dtype=torch.bool) for own in rows]
        while True:
            residual = self.target - basis @ (basis.T @ self.target)
            if all(
                bool((relative <= CONSISTENT_RESIDUAL)[~known].all())
                for relative, known in zip(self._relative_residuals(residual), free, strict=True)
            ):
                return free
            shares = [_explained(basis, residual, own) for own in rows]
            branch = max(range(len(rows)), key=lambda index: float(shares[index].max()))
            channel = int(shares[branch].argmax())
            freed = _own_directions(basis, rows[branch][channel])
            if not freed.shape[1] or basis.shape[1] + freed.shape[1] >= len(basis):
                return free
            basis = torch.cat([basis, freed], 1)
            free[branch][channel] = True

    def solved_without(self, wrong: Sequence[Tensor]) -> Solution:
        """The least-squares solution of the equations of all channels but these."""
        kept = torch.cat([own[~left_out].flatten() for own, left_out in zip(self.rows, wrong, strict=True)])
        left, sizes, right = torch.linalg.svd(self.matrix[kept], full_matrices=False)
        nonzero, determined = sizes > RANK_TOLERANCE * sizes[0], sizes > DETERMINED_SINGULAR_VALUE * sizes[0]
        pixels = right[nonzero].T @ ((left[:, nonzero].T @ self.target[kept]) / sizes[nonzero, None])
        residuals = self._relative_residuals(self.target - self.matrix @ pixels)
        return Solution(
            pixels.T.reshape(self.branches[0].convolution.input_shape),
            right[determined],
            tuple(branch.active for branch in self.branches),
            float(sizes[0] / sizes[determined][-1]),
            max(float(relative.median()) for relative in residuals),
            1,
        )

    def _relative_residuals(self, residual: Tensor) -> list[Tensor]:
        """Relative residual of each output channel's equations, a tensor a branch."""
        return [_relative(residual[own], self.target[own]) for own in self.rows]


def _rows(branches: Sequence[Branch]) -> list[Tensor]:
    """The numbers of each output channel's equations, shape (channels, taps), a tensor a branch."""
    counts = [len(branch.gradient) * branch.taps for branch in branches]
    numbers = torch.arange(sum(counts)).split(counts)
    return [own.unflatten(0, (-1, branch.taps)) for own, branch in zip(numbers, branches, strict=True)]


def _explained(basis: Tensor, residual: Tensor, rows: Tensor) -> Tensor:
    """How much of the square residual is gone once a channel's equations are set free; ``rows`` (channels, taps)."""
    sizes, directions = _leverage(basis, rows)
    parts = directions.transpose(1, 2) @ residual[rows]
    return torch.where(sizes[..., None] > MIN_REDUNDANCY, parts.square() / sizes.clamp_min(MIN_REDUNDANCY)[..., None], 0.0).sum(
        dim=(1, 2)
    )


def _own_directions(basis: Tensor, rows: Tensor) -> Tensor:
    """What setting one channel free adds to the basis: orthonormal, shape (equations, at most taps)."""
    sizes, directions = _leverage(basis, rows[None])
    own = torch.zeros(len(basis), len(rows), dtype=basis.dtype)
    own[rows] = directions[0]
    own -= basis @ (basis.T @ own)
    return torch.linalg.qr(own[:, sizes[0] > MIN_REDUNDANCY]).Q


def _leverage(basis: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Of each channel's block of the projector off the basis: eigenvalues (channels, taps) and eigenvectors."""
    seen = basis[rows]
    return torch.linalg.eigh(torch.eye(rows.shape[1], dtype=basis.dtype) - seen @ seen.transpose(1, 2))


def _relative(wrong: Tensor, target: Tensor) -> Tensor:
    """Norms of the channels' residuals over those of their targets."""
    sizes = target.norm(dim=(1, 2))
    return wrong.norm(dim=(1, 2)) / sizes.clamp_min(MIN_CHANNEL_SHARE * float(sizes.mean()))
