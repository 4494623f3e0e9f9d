"""Positions where a layer's output gradient is unknown, taken out of its weight-gradient equations.

dL/dW is a sum over positions p of dz_p times the input's patch at p. An unknown dz_p adds an
unknown multiple of that patch to each output's equations, and nothing else: seen at right angles to
the patch they do not depend on it (variable projection, Golub and Pereyra 1973).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lab.peeling.pieces import ConvolutionPiece

FLAT = 1e-5
"""Patches that differ by less than this share of the largest count as one."""
SIMILAR = 0.3
"""Positions that explain at least this share of what the worst explains are suspected with it."""


class Hidden:
    """The patches at hidden positions of one convolution, at its present input.

    ``where`` is boolean, shape (height, width) of the output.
    """

    def __init__(self, piece: ConvolutionPiece, where: Tensor) -> None:
        self.where = where.flatten().nonzero().flatten()
        marks = torch.zeros(1, len(self.where), where.numel(), dtype=piece.input.dtype, device=piece.input.device)
        marks[0, torch.arange(len(self.where)), self.where] = 1
        patches = piece.operator.correlate(piece.input, marks.view(1, -1, *where.shape)).flatten(1)
        left, sizes, right = torch.linalg.svd(patches.T, full_matrices=False)
        kept = sizes > FLAT * sizes[0].clamp_min(1e-300)
        self.basis = left[:, kept]
        self._inverse = right[kept] / sizes[kept, None]

    def project(self, weights: Tensor) -> Tensor:
        """The part of each output's weights, shape (outputs, inputs, kernel, kernel), at right angles to all patches."""
        rows = weights.flatten(1)
        return (rows - (rows @ self.basis) @ self.basis.T).view_as(weights)

    def without(self, slope: Tensor) -> Tensor:
        """The output gradient, shape (1, outputs, height, width), with zeros at the hidden positions."""
        return slope.flatten(2).index_fill(2, self.where, 0).view_as(slope)

    def fill(self, slope: Tensor, unexplained: Tensor) -> Tensor:
        """The output gradient with the hidden values that explain most of the unexplained weight gradient."""
        told = (unexplained.flatten(1) @ self.basis) @ self._inverse
        return slope.flatten(2).index_copy(2, self.where, told.unsqueeze(0)).view_as(slope)


def suspects(piece: ConvolutionPiece, residual: Tensor) -> tuple[Tensor, float]:
    """Positions whose patches the weight-gradient residual contains, and the share of it that the worst one explains.

    A unit on the wrong side of a ReLU's kink leaves just such a trace. Boolean, shape (height, width).
    """
    overlaps = piece.operator.apply(piece.input, residual).square().sum(1)
    sizes = piece.operator.apply(piece.input.square(), torch.ones_like(residual[:1]))[0]
    shares = overlaps / sizes.clamp_min(1e-12) / residual.square().sum().clamp_min(1e-300)
    worst = shares.max()
    return (shares > SIMILAR * worst)[0], float(worst)
