"""The equations of one layer, or of several solved jointly, for the input of the lowest.

At the top the output gradient dz is known everywhere and the output z where its weight is > 0:

    corr(a(x), dz) = dL/dW        (weight gradient)
    z(x) = z                      (forward)

Both are linear in the input ``a`` of the top convolution; ``a`` is x itself for a single layer and
a(x) = act(conv(...)) for a joint solve. ``below`` adds the same equations of the layers below, as
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

from lab.lazy import Float

from lab.attacks.closed_form.cgls import Rows, norm
from lab.attacks.closed_form.linearised import Linearised, LinearisedActivation, LinearisedConvolution, linearise
from lab.attacks.closed_form.shapes import FeatureMaps, InputMaps, Kernels
from lab.attacks.closed_form.weight_equations import KnownOutput, WeightEquations


@dataclass(frozen=True, eq=False)
class LayerEquations:
    """Consecutive modules from the unknown input to a known output."""

    names: Sequence[str]
    modules: Sequence[nn.Module]
    known: KnownOutput
    gradients: Mapping[str, Kernels]
    """dL/dW by module name."""
    whitening: float = 1e-5
    """Directions of dz below this share of the largest are not amplified any more; 1 leaves the equations as they are."""
    complete: bool = False
    below: Mapping[str, KnownOutput] = field(default_factory=dict)
    """What is known of the outputs of convolutions below the top, by name."""
    gradient_noise: float = 0.0
    """Standard deviation of the noise on each entry of dL/dW."""
    output_noise: float = 0.0
    """Standard deviation of the error of each known z."""

    def to(self, precision: torch.dtype) -> LayerEquations:
        """The same equations in another floating-point precision."""
        return replace(
            self,
            modules=[deepcopy(module).to(precision) for module in self.modules],
            known=self.known.to(precision),
            below={name: known.to(precision) for name, known in self.below.items()},
            gradients={name: gradient.to(precision) for name, gradient in self.gradients.items()},
        )

    def at(self, values: InputMaps) -> Point:
        """All equations at a guess of the input, with their derivatives."""
        return Point(self, values)

    def known_output(self, position: int) -> KnownOutput | None:
        """What is known of the output of the module at ``position``."""
        return self.known if position == len(self.modules) - 1 else self.below.get(self.names[position])

    @cached_property
    def mixings(self) -> Mapping[str, Float[Tensor, "mixtures outputs"]]:
        """For each convolution whose output is known, which sums of its rows are taken."""
        known = {name: self.known_output(position) for position, name in enumerate(self.names) if name in self.gradients}
        return {name: output.mixing(self.whitening) for name, output in known.items() if output is not None}


class Point:
    """The residual of the equations at one input, and its derivative with the activation pattern frozen."""

    def __init__(self, equations: LayerEquations, values: InputMaps) -> None:
        self.equations = equations
        self.values = values
        self.linearised: list[Linearised] = []
        for module in equations.modules:
            self.linearised.append(linearise(module, values))
            values = self.linearised[-1].output
        self.output = values
        self._rows = self._weight_equations()
        self._known = self._known_outputs()
        self.residual = self._residual()

    def _weight_equations(self) -> dict[int, WeightEquations]:
        """One block of equations a convolution, by position, top to bottom."""
        rows: dict[int, WeightEquations] = {}
        output_gradient = self.equations.known.output_gradient
        for position in reversed(range(len(self.linearised))):
            layer, known = self.linearised[position], self.equations.known_output(position)
            if isinstance(layer, LinearisedConvolution) and (known is not None or self.equations.complete):
                rows[position] = self._equations_of(position, layer, known, output_gradient)
            output_gradient = layer.vjp(output_gradient)
        return rows

    def _equations_of(
        self, position: int, layer: LinearisedConvolution, known: KnownOutput | None, output_gradient: Tensor
    ) -> WeightEquations:
        name = self.equations.names[position]
        target = self.equations.gradients[name]
        if known is None:
            plain = torch.eye(len(target), dtype=target.dtype, device=target.device)
            return WeightEquations(layer, output_gradient, target, plain / target.norm().clamp_min(1e-300))
        made = WeightEquations(layer, known.output_gradient, target, self.equations.mixings[name])
        return made.eliminating(known.unknown_units) if len(self.linearised) > 1 else made

    def _known_outputs(self) -> dict[int, tuple[KnownOutput, Tensor]]:
        """By position, top to bottom: what is known of outputs, and how much each entry weighs."""
        known: dict[int, tuple[KnownOutput, Tensor]] = {}
        for position in reversed(range(len(self.linearised))):
            output, layer = self.equations.known_output(position), self.linearised[position]
            if output is not None and (position == len(self.linearised) - 1 or output.weight.any()):
                rows = layer.operator.weight.flatten(1) if isinstance(layer, LinearisedConvolution) else None
                known[position] = output, output.weight if rows is None else output.weight / rows.norm(dim=1).mean()
        return known

    def _residual(self) -> list[Tensor]:
        blocks = [rows.residual() for rows in self._rows.values()]
        outputs = [
            weight * (known.values - self.linearised[position].output) for position, (known, weight) in self._known.items()
        ]
        return [*blocks, *outputs]

    def soften(self, widths: Mapping[int, float]) -> None:
        """Let each kink of the module at that position bend over a width instead: act'(z) becomes its mean near z.

        Where the pattern is not settled yet, this is the best linear guess of what a step will do.
        """
        for position, width in widths.items():
            layer = self.linearised[position]
            assert isinstance(layer, LinearisedActivation)
            layer.soften(self.linearised[position - 1].output if position else self.values, width)

    @property
    def kinks(self) -> dict[int, FeatureMaps]:
        """The inputs of all ReLUs, by position."""
        before = [self.values, *(layer.output for layer in self.linearised)]
        return {
            position: before[position]
            for position, module in enumerate(self.equations.modules)
            if isinstance(module, nn.ReLU | nn.LeakyReLU)
        }

    @property
    def relative_residual(self) -> float:
        """||r|| over the norm of all right-hand sides."""
        return norm(self.residual) / self._target_norm

    @cached_property
    def noise_floor(self) -> float:
        """The relative residual that the noise alone leaves at the truth (for the discrepancy principle)."""
        variance = sum(rows.noise_gain for rows in self._rows.values()) * self.equations.gradient_noise**2
        variance += (self.equations.output_noise * norm([weight for _, weight in self._known.values()])) ** 2
        return variance**0.5 / self._target_norm

    @cached_property
    def _target_norm(self) -> float:
        targets = [rows.mixed(rows.target) for rows in self._rows.values()]
        outputs = [weight * known.values for known, weight in self._known.values()]
        return max(norm([*targets, *outputs]), 1e-300)

    def jvp(self, tangent: InputMaps) -> Rows:
        """J v, one block for each block of the residual."""
        blocks: dict[int, Tensor] = {}
        outputs: dict[int, Tensor] = {}
        for position, layer in enumerate(self.linearised):
            if position in self._rows:
                tangent, blocks[position] = self._rows[position].forward(tangent)
            else:
                tangent = layer.jvp(tangent)
            if position in self._known:
                outputs[position] = self._known[position][1] * tangent
        return [*(blocks[position] for position in self._rows), *(outputs[position] for position in self._known)]

    def vjp(self, residual: Rows) -> InputMaps:
        """J^T u."""
        blocks = dict(zip(self._rows, residual, strict=False))
        outputs = dict(zip(self._known, residual[len(self._rows) :], strict=True))
        cotangent = torch.zeros_like(self.output)
        for position in reversed(range(len(self.linearised))):
            if position in outputs:
                cotangent = cotangent + self._known[position][1] * outputs[position]
            rows = self._rows.get(position)
            cotangent = self.linearised[position].vjp(cotangent) if rows is None else rows.adjoint(cotangent, blocks[position])
        return cotangent

    def input_gradient(self) -> InputMaps:
        """dL/dx of the lowest layer's input, by back-propagating dz with the activation pattern found."""
        output_gradient = self.equations.known.output_gradient
        for layer in reversed(self.linearised):
            output_gradient = layer.vjp(output_gradient)
        return output_gradient
