"""How far the way down has come: what is known at one height, and what a viewer is told."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from lab.attacks.closed_form.activations import POINTWISE, invert
from lab.attacks.closed_form.chain import scale_and_shift
from lab.attacks.closed_form.gauss_newton import Step
from lab.attacks.closed_form.report import LayerRecovery
from lab.attacks.closed_form.shapes import FeatureMaps, UnitMask
from lab.attacks.closed_form.weight_equations import KnownOutput

FLOAT32_ERROR = 1e-6
"""Relative error of a float32 ratio: what lies below this share of the largest feature is silence."""


@dataclass(frozen=True, eq=False)
class LayerOutput:
    """What is known at one height of the chain: the output of the module ``index`` - 1."""

    index: int
    values: FeatureMaps
    weight: FeatureMaps
    output_gradient: FeatureMaps
    error: float
    """Absolute error of ``values``: smaller ReLU outputs count as silent."""
    exact: bool
    uncertain: UnitMask | None = None
    """Where an exact output may still take a silent unit for active or an active one for silent; boolean."""

    @property
    def known(self) -> KnownOutput:
        """What a convolution's output tells; no value at the position of a unit in doubt is trusted."""
        known = KnownOutput(self.values, self.weight, self.output_gradient)
        return known if self.uncertain is None else known.disregarding(self.uncertain)

    def below(self, module: nn.Module) -> LayerOutput | None:
        """The output under an activation or batch norm, which are undone entry by entry; None for other modules."""
        if isinstance(module, POINTWISE):
            inverse = invert(module, self.values, self.error)
            weight, output_gradient = self.weight * inverse.weight, inverse.derivative * self.output_gradient
            return replace(self, index=self.index - 1, values=inverse.values, weight=weight, output_gradient=output_gradient)
        return self._below_batch_norm(module) if isinstance(module, nn.BatchNorm2d) else None

    def _below_batch_norm(self, module: nn.BatchNorm2d) -> LayerOutput:
        """Undo y = scale x + shift with the stored statistics; channels scaled by zero tell nothing."""
        scale, shift = scale_and_shift(module)
        alive = scale.abs() > 1e-12
        values = torch.where(alive, (self.values - shift) / torch.where(alive, scale, 1.0), 0.0).detach()
        output_gradient = (self.output_gradient * scale).detach()
        return replace(self, index=self.index - 1, values=values, weight=self.weight * alive, output_gradient=output_gradient)


def below_solved(bottom: int, step: Step, *, exact: bool) -> LayerOutput:
    """What is known under layers solved jointly, of which the lowest is the ``bottom``-th."""
    output_gradient = step.point.input_gradient().double()
    values = step.point.values.double()
    error = max(FLOAT32_ERROR, 3 * step.residual) * float(values.square().mean().sqrt())
    return LayerOutput(bottom, values, torch.ones_like(values), output_gradient, error, exact)


@dataclass(frozen=True, eq=False)
class Progress:
    """How far the inversion has come."""

    layers: tuple[LayerRecovery, ...]
    """Top to bottom."""
    picture: FeatureMaps | None
    """The input of the lowest layer once reached, normalised, shape (pictures, channels, height, width)."""
    underdetermined: LayerRecovery | None = None
    """The layer that has too few equations even together with all layers below it."""
    note: str = ""
    """From where on the picture was searched and not solved for, or could not be, in one sentence."""
