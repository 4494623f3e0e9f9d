"""The weight-gradient equations of one convolution: corr(a, dz) = dL/dW for its input a."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab.lazy import Float

from lab.attacks.closed_form.convolution import channel_matrix
from lab.attacks.closed_form.linearised import LinearisedConvolution
from lab.attacks.closed_form.shapes import FeatureMaps, InputMaps, Kernels, MixedKernels, OutputMaps, OutputMask, UnitMask
from lab.attacks.closed_form.unknown_units import UnknownUnits


@dataclass(frozen=True, eq=False)
class KnownOutput:
    """What is known at a layer's output, each of shape (pictures, channels, height, width)."""

    values: FeatureMaps
    """z."""
    weight: FeatureMaps
    """In [0, 1]: how far each entry of z is to be trusted; 0 where it is unknown."""
    output_gradient: FeatureMaps
    """dL/dz."""
    unknown_units: UnitMask | None = None
    """Units whose ``output_gradient`` is not known, boolean, of the same shape; heeded in a joint solve only."""

    def to(self, precision: torch.dtype) -> KnownOutput:
        """The same in another floating-point precision."""
        return replace(self, **{part: getattr(self, part).to(precision) for part in ("values", "weight", "output_gradient")})

    def disregarding(self, units: UnitMask) -> KnownOutput:
        """The same less what is known of these units (boolean, of the same shape).

        Where one unit is in doubt, the values of its neighbours at that position are not trusted either.
        """
        unknown_units = units if self.unknown_units is None else self.unknown_units | units
        return replace(self, unknown_units=unknown_units, weight=self.weight * ~units.any(1, keepdim=True))

    def mixing(self, whitening: float) -> Float[Tensor, "mixtures outputs"]:
        """T, shape (outputs, outputs), which makes the rows of T dz orthonormal: the same equations, better conditioned.

        Directions of dz below the share ``whitening`` of the largest are not amplified any more.
        """
        output_gradient = self.output_gradient if self.unknown_units is None else self.output_gradient * ~self.unknown_units
        left, sizes, _ = torch.linalg.svd(channel_matrix(output_gradient), full_matrices=False)
        scales = (sizes.square() + (whitening * sizes[0]).square()).sqrt().clamp_min(1e-300)
        return (left / scales).T


@dataclass(frozen=True, eq=False)
class WeightEquations:
    """These equations at the present input, as residual and derivative."""

    layer: LinearisedConvolution
    output_gradient: OutputMaps
    """dL/dz, shape (pictures, outputs, height, width)."""
    target: Kernels
    """dL/dW, shape (outputs, inputs, kernel, kernel)."""
    mixing: Float[Tensor, "mixtures outputs"]
    """Shape (equations, outputs): which sums of rows are taken."""
    unknown_units: UnknownUnits | None = None

    def eliminating(self, where: OutputMask | None) -> WeightEquations:
        """These equations without what they say about the output gradient of some units."""
        if where is None or not where.any():
            return self
        unknown_units = UnknownUnits(self.layer, where)
        bare = replace(self, output_gradient=unknown_units.without(self.output_gradient))
        return replace(
            bare, output_gradient=unknown_units.fill(self.output_gradient, bare.unexplained()), unknown_units=unknown_units
        )

    def unexplained(self) -> Kernels:
        """dL/dW less what the present input makes, row by row."""
        return self._projected(self.target - self.layer.operator.correlate(self.layer.input, self.output_gradient))

    def residual(self) -> MixedKernels:
        """The same, mixed."""
        return self.mixed(self.unexplained())

    def forward(self, tangent: InputMaps) -> tuple[OutputMaps, MixedKernels]:
        """How the layer's output and the made weight gradient move with the input."""
        output, made = self.layer.operator.apply_and_correlate(tangent, self.output_gradient)
        return output, self.mixed(self._projected(made))

    def adjoint(self, cotangent: OutputMaps, block: MixedKernels) -> InputMaps:
        """The transpose of ``forward``."""
        weights = self._projected((self.mixing.T @ block.flatten(1)).view_as(self.target))
        return self.layer.operator.apply_and_correlate_adjoint(cotangent, weights, self.output_gradient)

    def mixed(self, weights: Kernels) -> MixedKernels:
        """Sums of rows."""
        return (self.mixing @ weights.flatten(1)).view(-1, *weights.shape[1:])

    @property
    def noise_gain(self) -> float:
        """Variance of all these equations together for unit noise on dL/dW."""
        return float(self.mixing.square().sum()) * self.target[0].numel()

    def _projected(self, weights: Tensor) -> Tensor:
        return weights if self.unknown_units is None else self.unknown_units.project(weights)
