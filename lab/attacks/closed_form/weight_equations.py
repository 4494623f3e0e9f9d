"""The weight-gradient equations of one convolution: corr(a, dz) = dL/dW for its input a."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab.attacks.closed_form.convolution import side_by_side
from lab.attacks.closed_form.linearised import ConvolutionPiece
from lab.attacks.closed_form.unknown_units import Hidden


@dataclass(frozen=True, eq=False)
class Known:
    """What is known at a layer's output, each of shape (pictures, channels, height, width)."""

    values: Tensor
    """z."""
    weight: Tensor
    """In [0, 1]: how far each entry of z is to be trusted; 0 where it is unknown."""
    slope: Tensor
    """dL/dz."""
    hidden: Tensor | None = None
    """Units whose ``slope`` is not known, boolean, of the same shape; heeded in a joint solve only."""

    def to(self, precision: torch.dtype) -> Known:
        """The same in another floating-point precision."""
        return replace(self, **{part: getattr(self, part).to(precision) for part in ("values", "weight", "slope")})

    def hiding(self, units: Tensor) -> Known:
        """The same less what is known of these units (boolean, of the same shape).

        Where one unit is in doubt, the values of its neighbours at that position are not trusted either.
        """
        hidden = units if self.hidden is None else self.hidden | units
        return replace(self, hidden=hidden, weight=self.weight * ~units.any(1, keepdim=True))

    def mixing(self, whitening: float) -> Tensor:
        """T, shape (outputs, outputs), which makes the rows of T dz orthonormal: the same equations, better conditioned.

        Directions of dz below the share ``whitening`` of the largest are not amplified any more.
        """
        slope = self.slope if self.hidden is None else self.slope * ~self.hidden
        left, sizes, _ = torch.linalg.svd(side_by_side(slope), full_matrices=False)
        scales = (sizes.square() + (whitening * sizes[0]).square()).sqrt().clamp_min(1e-300)
        return (left / scales).T


@dataclass(frozen=True, eq=False)
class WeightRows:
    """These equations at the present input, as residual and derivative."""

    piece: ConvolutionPiece
    slope: Tensor
    """dL/dz, shape (pictures, outputs, height, width)."""
    target: Tensor
    """dL/dW, shape (outputs, inputs, kernel, kernel)."""
    mixing: Tensor
    """Shape (equations, outputs): which sums of rows are taken."""
    hidden: Hidden | None = None

    def hiding(self, where: Tensor | None) -> WeightRows:
        """These equations without what they say about the output gradient of some units."""
        if where is None or not where.any():
            return self
        hidden = Hidden(self.piece, where)
        bare = replace(self, slope=hidden.without(self.slope))
        return replace(bare, slope=hidden.fill(self.slope, bare.unexplained()), hidden=hidden)

    def unexplained(self) -> Tensor:
        """dL/dW less what the present input makes, row by row."""
        return self._seen(self.target - self.piece.operator.correlate(self.piece.input, self.slope))

    def residual(self) -> Tensor:
        """The same, mixed."""
        return self.mixed(self.unexplained())

    def forward(self, moved: Tensor) -> tuple[Tensor, Tensor]:
        """How the layer's output and the made weight gradient move with the input."""
        output, made = self.piece.operator.both(moved, self.slope)
        return output, self.mixed(self._seen(made))

    def adjoint(self, pulled: Tensor, block: Tensor) -> Tensor:
        """The transpose of ``forward``."""
        weights = self._seen((self.mixing.T @ block.flatten(1)).view_as(self.target))
        return self.piece.operator.both_adjoint(pulled, weights, self.slope)

    def mixed(self, weights: Tensor) -> Tensor:
        """Sums of rows."""
        return (self.mixing @ weights.flatten(1)).view(-1, *weights.shape[1:])

    @property
    def noise_gain(self) -> float:
        """Variance of all these equations together for unit noise on dL/dW."""
        return float(self.mixing.square().sum()) * self.target[0].numel()

    def _seen(self, weights: Tensor) -> Tensor:
        return weights if self.hidden is None else self.hidden.project(weights)
