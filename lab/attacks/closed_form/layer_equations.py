"""The equations of one layer, or of several solved jointly, for the input of the lowest.

At the top the output gradient dz is known everywhere and the output z where its weight is > 0:

    corr(a(x), dz) = dL/dW        (weight gradient)
    z(x) = z                      (forward)

Both are linear in the input ``a`` of the top convolution; ``a`` is x itself for a single layer and
a(x) = act(conv(...)) for a joint solve. ``beneath`` adds the same equations of the layers below, as
far as their outputs are known; ``complete`` adds the weight gradients of all of them, with the
activation pattern of the moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from lab.attacks.closed_form.cgls import Rows, norm
from lab.attacks.closed_form.linearised import ConvolutionPiece, Piece, PointwisePiece, linearise
from lab.attacks.closed_form.weight_equations import Known, WeightRows


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
    beneath: Mapping[str, Known] = field(default_factory=dict)
    """What is known of the outputs of convolutions below the top, by name."""
    gradient_noise: float = 0.0
    """Standard deviation of the noise on each entry of dL/dW."""
    output_noise: float = 0.0
    """Standard deviation of the error of each known z."""

    def to(self, precision: torch.dtype) -> Stretch:
        """The same equations in another floating-point precision."""
        return replace(
            self,
            modules=[deepcopy(module).to(precision) for module in self.modules],
            known=self.known.to(precision),
            beneath={name: known.to(precision) for name, known in self.beneath.items()},
            gradients={name: gradient.to(precision) for name, gradient in self.gradients.items()},
        )

    def at(self, values: Tensor) -> Point:
        """All equations at a guess of the input, with their derivatives."""
        return Point(self, values)

    def knowledge(self, position: int) -> Known | None:
        """What is known of the output of the module at ``position``."""
        return self.known if position == len(self.modules) - 1 else self.beneath.get(self.names[position])

    @cached_property
    def mixings(self) -> Mapping[str, Tensor]:
        """For each convolution whose output is known, which sums of its rows are taken."""
        known = {name: self.knowledge(position) for position, name in enumerate(self.names) if name in self.gradients}
        return {name: told.mixing(self.whitening) for name, told in known.items() if told is not None}


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
        self._known = self._known_outputs()
        self.residual = self._residual()

    def _weight_rows(self) -> dict[int, WeightRows]:
        """One block of equations a convolution, by position, top to bottom."""
        rows: dict[int, WeightRows] = {}
        slope = self.stretch.known.slope
        for position in reversed(range(len(self.pieces))):
            piece, known = self.pieces[position], self.stretch.knowledge(position)
            if isinstance(piece, ConvolutionPiece) and (known is not None or self.stretch.complete):
                rows[position] = self._rows_of(position, piece, known, slope)
            slope = piece.cotangent(slope)
        return rows

    def _rows_of(self, position: int, piece: ConvolutionPiece, known: Known | None, slope: Tensor) -> WeightRows:
        name = self.stretch.names[position]
        target = self.stretch.gradients[name]
        if known is None:
            plain = torch.eye(len(target), dtype=target.dtype, device=target.device)
            return WeightRows(piece, slope, target, plain / target.norm().clamp_min(1e-300))
        made = WeightRows(piece, known.slope, target, self.stretch.mixings[name])
        return made.hiding(known.hidden) if len(self.pieces) > 1 else made

    def _known_outputs(self) -> dict[int, tuple[Known, Tensor]]:
        """By position, top to bottom: what is known of outputs, and how much each entry weighs."""
        known: dict[int, tuple[Known, Tensor]] = {}
        for position in reversed(range(len(self.pieces))):
            told, piece = self.stretch.knowledge(position), self.pieces[position]
            if told is not None and (position == len(self.pieces) - 1 or told.weight.any()):
                rows = piece.operator.weight.flatten(1) if isinstance(piece, ConvolutionPiece) else None
                known[position] = told, told.weight if rows is None else told.weight / rows.norm(dim=1).mean()
        return known

    def _residual(self) -> list[Tensor]:
        blocks = [rows.residual() for rows in self._rows.values()]
        outputs = [weight * (known.values - self.pieces[position].output) for position, (known, weight) in self._known.items()]
        return [*blocks, *outputs]

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

    @property
    def relative_residual(self) -> float:
        """||r|| over the norm of all right-hand sides."""
        return norm(self.residual) / self._target_norm

    @cached_property
    def noise_floor(self) -> float:
        """The relative residual that the noise alone leaves at the truth (for the discrepancy principle)."""
        variance = sum(rows.noise_gain for rows in self._rows.values()) * self.stretch.gradient_noise**2
        variance += (self.stretch.output_noise * norm([weight for _, weight in self._known.values()])) ** 2
        return variance**0.5 / self._target_norm

    @cached_property
    def _target_norm(self) -> float:
        targets = [rows.mixed(rows.target) for rows in self._rows.values()]
        outputs = [weight * known.values for known, weight in self._known.values()]
        return max(norm([*targets, *outputs]), 1e-300)

    def tangent(self, moved: Tensor) -> Rows:
        """J v, one block for each block of the residual."""
        blocks: dict[int, Tensor] = {}
        outputs: dict[int, Tensor] = {}
        for position, piece in enumerate(self.pieces):
            if position in self._rows:
                moved, blocks[position] = self._rows[position].forward(moved)
            else:
                moved = piece.tangent(moved)
            if position in self._known:
                outputs[position] = self._known[position][1] * moved
        return [*(blocks[position] for position in self._rows), *(outputs[position] for position in self._known)]

    def cotangent(self, residual: Rows) -> Tensor:
        """J^T u."""
        blocks = dict(zip(self._rows, residual, strict=False))
        outputs = dict(zip(self._known, residual[len(self._rows) :], strict=True))
        pulled = torch.zeros_like(self.output)
        for position in reversed(range(len(self.pieces))):
            if position in outputs:
                pulled = pulled + self._known[position][1] * outputs[position]
            rows = self._rows.get(position)
            pulled = self.pieces[position].cotangent(pulled) if rows is None else rows.adjoint(pulled, blocks[position])
        return pulled

    def pulled_slope(self) -> Tensor:
        """dL/dx of the stretch's input, by back-propagating dz with the activation pattern found."""
        slope = self.stretch.known.slope
        for piece in reversed(self.pieces):
            slope = piece.cotangent(slope)
        return slope
