"""Units whose output gradient is unknown, taken out of a layer's weight-gradient equations.

Row c of dL/dW is a sum over positions p of dz_cp times the input's patch at p. An unknown dz_cp adds
an unknown multiple of that patch to that row, and nothing else: seen at right angles to the patch
the row does not depend on it (variable projection, Golub and Pereyra 1973).
"""

from __future__ import annotations

import torch

from lab.attacks.closed_form.convolution import channel_matrix
from lab.attacks.closed_form.linearised import LinearisedConvolution
from lab.attacks.closed_form.shapes import Kernels, OutputMaps, OutputMask

SAME_PATCH = 1e-5
"""Patches that differ by less than this share of the largest count as one."""


class UnknownUnits:
    """The patches at the hidden units of one convolution, at its present input.

    ``where`` is boolean, shape (pictures, outputs, height, width).
    """

    def __init__(self, layer: LinearisedConvolution, where: OutputMask) -> None:
        marks = channel_matrix(where)
        most = int(marks.sum(1).max())
        found, self._positions = marks.to(layer.input.dtype).topk(most, dim=1)
        patches = layer.operator.patches(layer.input)
        columns = patches[:, self._positions].movedim(0, 1) * found.unsqueeze(1)
        left, sizes, right = torch.linalg.svd(columns, full_matrices=False)
        kept = sizes > SAME_PATCH * sizes.max().clamp_min(1e-300)
        self.where = where
        self._basis = left * kept.unsqueeze(1)
        self._across = self._basis.mT.contiguous()  # a product with this copy is twice as fast as with the transposed basis
        self._inverse = right * torch.where(kept, 1 / sizes.clamp_min(1e-30), 0.0).unsqueeze(2)

    def project(self, weights: Kernels) -> Kernels:
        """The part of each row, shape (outputs, inputs, kernel, kernel), at right angles to its hidden patches."""
        rows = weights.flatten(1).unsqueeze(1)
        return (rows - rows @ self._basis @ self._across).view_as(weights)

    def without(self, output_gradient: OutputMaps) -> OutputMaps:
        """The output gradient, shape (pictures, outputs, height, width), with zeros at the hidden units."""
        return output_gradient * ~self.where

    def fill(self, output_gradient: OutputMaps, unexplained: Kernels) -> OutputMaps:
        """The output gradient with the hidden values that explain most of the unexplained weight gradient."""
        estimated = (unexplained.flatten(1).unsqueeze(1) @ self._basis @ self._inverse).squeeze(1)
        rows = output_gradient.transpose(0, 1)
        added = torch.zeros_like(rows.flatten(1)).scatter_add_(1, self._positions, estimated)
        return self.without(output_gradient) + self.where * added.view(rows.shape).transpose(0, 1)
