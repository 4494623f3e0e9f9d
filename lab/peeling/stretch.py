"""The equations of one layer, or of several solved jointly, for the input of the lowest.

At the top the output gradient dz is known everywhere and the output z where its weight is > 0:

    corr(a(x), dz) = dL/dW        (weight gradient)
    z(x) = z                      (forward)

Both are linear in the input ``a`` of the top convolution; ``a`` is x itself for a single layer and
a(x) = act(conv(...)) for a joint solve. ``complete`` adds the weight gradients of the layers below,
with the activation pattern of the moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from lab.peeling.conjugate_gradients import Rows, norm
from lab.peeling.hidden import Hidden, suspects
from lab.peeling.pieces import ConvolutionPiece, Piece, PointwisePiece, linearise


@dataclass(frozen=True, eq=False)
class Known:
    """What is known at a layer's output, each of shape (1, channels, height, width)."""

    values: Tensor
    """z."""
    weight: Tensor
    """In [0, 1]: how far each entry of z is to be trusted; 0 where it is unknown."""
    slope: Tensor
    """dL/dz."""
    hidden: Tensor | None = None
    """Positions where ``slope`` is not known, boolean, shape (height, width); heeded in a joint solve only."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """Consecutive modules from the unknown input to a known output."""

    names: Sequence[str]
    modules: Sequence[nn.Module]
    known: Known
    gradients: Mapping[str, Tensor]
    """dL/dW by module name."""
    whitening: float = 1e-5
    """Directions of dz below this share of the largest are not amplified any more; 1 leaves the equations as they are."""
    complete: bool = False
    gradient_noise: float = 0.0
    """Standard deviation of the noise on each entry of dL/dW."""
    output_noise: float = 0.0
    """Standard deviation of the error of each known z."""

    def to(self, precision: torch.dtype) -> Stretch:
        """The same equations in another floating-point precision."""
        known = replace(self.known, **{part: getattr(self.known, part).to(precision) for part in ("values", "weight", "slope")})
        modules = [deepcopy(module).to(precision) for module in self.modules]
        return replace(self, modules=modules, known=known, gradients={n: g.to(precision) for n, g in self.gradients.items()})

    def hiding(self, positions: Tensor) -> Stretch:
        """The same equations without the output gradient at these positions (boolean, shape (height, width))."""
        known = self.known
        hidden = positions if known.hidden is None else known.hidden | positions
        return replace(self, known=replace(known, hidden=hidden, weight=known.weight * ~hidden))

    def at(self, values: Tensor) -> Point:
        """All equations at a guess of the input, with their derivatives."""
        return Point(self, values)

    @cached_property
    def whitened(self) -> tuple[Tensor, Tensor, float]:
        """T dz, T dL/dW and ||T||^2, T making the rows of T dz orthonormal: the same equations, better conditioned."""
        slope, weight = self.known.slope, self.gradients[self.names[-1]]
        left, sizes, _ = torch.linalg.svd(slope[0].flatten(1), full_matrices=False)
        scales = (sizes.square() + (self.whitening * sizes[0]).square()).sqrt().clamp_min(1e-300)
        rotation = (left / scales).T
        rotated = (rotation @ slope[0].flatten(1)).view(1, -1, *slope.shape[2:])
        turned = (rotation @ weight.flatten(1)).view(-1, *weight.shape[1:])
        return rotated, turned, float(rotation.square().sum())


class Point:
    """The residual of a stretch at one input, and its derivative with the activation pattern frozen."""

    def __init__(self, stretch: Stretch, values: Tensor) -> None:
        self.stretch = stretch
        self.values = values
        self.pieces: list[Piece] = []
        for module in stretch.modules:
            self.pieces.append(linearise(module, values))
            values = self.pieces[-1].output
        self.output = values
        self._rows = self._weight_rows()
        self._forward_scale = 1.0
        top = self.pieces[-1]
        if isinstance(top, ConvolutionPiece):
            self._forward_scale = 1 / float(top.operator.weight.flatten(1).norm(dim=1).mean())
        self.residual = self._residual()

    def _weight_rows(self) -> list[_WeightRows]:
        """One block of equations a convolution, top to bottom."""
        rows: list[_WeightRows] = []
        slope = self.stretch.known.slope
        for position in reversed(range(len(self.pieces))):
            piece = self.pieces[position]
            is_top = position == len(self.pieces) - 1
            if isinstance(piece, ConvolutionPiece) and (is_top or self.stretch.complete):
                target = self.stretch.gradients[self.stretch.names[position]]
                dz, dw, gain = self.stretch.whitened if is_top else (slope, target, float(len(target)))
                scale = 1.0 if is_top else 1 / max(float(dw.norm()), 1e-300)
                made = _WeightRows(position, piece, dz, dw, scale, scale**2 * gain * target[0].numel())
                rows.append(made.hiding(self.stretch.known.hidden) if is_top and len(self.pieces) > 1 else made)
            slope = piece.cotangent(slope)
        return rows

    def _residual(self) -> list[Tensor]:
        known = self.stretch.known
        blocks = [rows.residual() for rows in self._rows]
        return [*blocks, self._forward_scale * known.weight * (known.values - self.output)]

    def soften(self, widths: Mapping[int, float]) -> None:
        """Let each kink of the piece at that position bend over a width instead: act'(z) becomes its mean near z.

        Where the pattern is not settled yet, this is the best linear guess of what a step will do.
        """
        for position, width in widths.items():
            piece = self.pieces[position]
            assert isinstance(piece, PointwisePiece)
            piece.soften(self.pieces[position - 1].output if position else self.values, width)

    @property
    def kinks(self) -> dict[int, Tensor]:
        """The inputs of all ReLUs, by position."""
        before = [self.values, *(piece.output for piece in self.pieces)]
        return {
            position: before[position]
            for position, module in enumerate(self.stretch.modules)
            if isinstance(module, nn.ReLU | nn.LeakyReLU)
        }

    def suspects(self) -> tuple[Tensor, float]:
        """Positions of the top layer whose gradient looks wrong, and the share of the residual that the worst explains."""
        return suspects(self._rows[0].piece, self.residual[0])

    @property
    def relative_residual(self) -> float:
        """||r|| over the norm of all right-hand sides."""
        return norm(self.residual) / self._target_norm

    @cached_property
    def noise_floor(self) -> float:
        """The relative residual that the noise alone leaves at the truth (for the discrepancy principle)."""
        variance = sum(rows.noise_gain for rows in self._rows) * self.stretch.gradient_noise**2
        variance += (self._forward_scale * self.stretch.output_noise * norm([self.stretch.known.weight])) ** 2
        return variance**0.5 / self._target_norm

    @cached_property
    def _target_norm(self) -> float:
        known = self.stretch.known
        targets = [rows.scale * rows.target for rows in self._rows]
        return max(norm([*targets, self._forward_scale * known.weight * known.values]), 1e-300)

    def tangent(self, moved: Tensor) -> Rows:
        """J v, one block for each block of the residual."""
        blocks: dict[int, Tensor] = {}
        wanted = {rows.position: rows for rows in self._rows}
        for position, piece in enumerate(self.pieces):
            if position in wanted:
                moved, blocks[position] = wanted[position].forward(moved)
            else:
                moved = piece.tangent(moved)
        return [*(blocks[rows.position] for rows in self._rows), self._forward_scale * self.stretch.known.weight * moved]

    def cotangent(self, residual: Rows) -> Tensor:
        """J^T u."""
        pulled = self._forward_scale * self.stretch.known.weight * residual[-1]
        blocks = {rows.position: (rows, block) for rows, block in zip(self._rows, residual[:-1], strict=True)}
        for position in reversed(range(len(self.pieces))):
            if position in blocks:
                rows, block = blocks[position]
                pulled = rows.adjoint(pulled, block)
            else:
                pulled = self.pieces[position].cotangent(pulled)
        return pulled

    def pulled_slope(self) -> Tensor:
        """dL/dx of the stretch's input, by back-propagating dz with the activation pattern found."""
        slope = self.stretch.known.slope
        for piece in reversed(self.pieces):
            slope = piece.cotangent(slope)
        return slope


@dataclass(frozen=True, eq=False)
class _WeightRows:
    position: int
    piece: ConvolutionPiece
    slope: Tensor
    target: Tensor
    scale: float
    noise_gain: float
    """Variance of all these equations together for unit noise on dL/dW."""
    hidden: Hidden | None = None

    def hiding(self, where: Tensor | None) -> _WeightRows:
        """These equations without what they say about the output gradient at some positions."""
        if where is None or not where.any():
            return self
        hidden = Hidden(self.piece, where)
        slope = hidden.without(self.slope)
        unexplained = self.target - self.piece.operator.correlate(self.piece.input, slope)
        return replace(self, slope=hidden.fill(slope, unexplained), hidden=hidden)

    def residual(self) -> Tensor:
        """dL/dW less what the present input makes."""
        return self.scale * self._seen(self.target - self.piece.operator.correlate(self.piece.input, self.slope))

    def forward(self, moved: Tensor) -> tuple[Tensor, Tensor]:
        """How the layer's output and the made weight gradient move with the input."""
        output, made = self.piece.operator.both(moved, self.slope)
        return output, self.scale * self._seen(made)

    def adjoint(self, pulled: Tensor, block: Tensor) -> Tensor:
        """The transpose of ``forward``."""
        return self.piece.operator.both_adjoint(pulled, self.scale * self._seen(block), self.slope)

    def _seen(self, weights: Tensor) -> Tensor:
        return weights if self.hidden is None else self.hidden.project(weights)
