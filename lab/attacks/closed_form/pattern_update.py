"""The layers' output gradients read again from a picture that is nearly right.

Back-propagated through the picture's own activation pattern, dz is right at each layer but for
units near their kink. With those hidden, the layers' weight gradients are equations for the picture,
and their solution is a better one, whose pattern is surer still.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lab.attacks.closed_form.layer_equations import Point
from lab.attacks.closed_form.linearised import LinearisedConvolution
from lab.attacks.closed_form.weight_equations import KnownOutput

KINK_DISTANCE = 3.0
"""A unit is near its kink within so many times the last move of its position, root mean square over channels."""
MIN_EQUATION_SHARE = 0.5
"""Share of a layer's equations that must remain when its hidden units are taken out, or the layer is left out."""


def update_pattern(now: Point, before: Point) -> Mapping[str, KnownOutput]:
    """What is known below the top from two pictures, the later one ``now``, by module name.

    The lowest layer is left out: its few weights tell little, and each hidden unit above it spoils many of its own.
    """
    known: dict[str, KnownOutput] = {}
    output_gradient = now.equations.known.output_gradient
    uncertain = torch.zeros_like(output_gradient, dtype=torch.bool)
    for position in range(len(now.linearised) - 1, 0, -1):
        layer = now.linearised[position]
        if isinstance(layer, LinearisedConvolution):
            if position < len(now.linearised) - 1:
                uncertain = uncertain | _near(layer.output, before.linearised[position].output)
                if int(uncertain.sum()) > (1 - MIN_EQUATION_SHARE) * layer.operator.weight.numel():
                    return known
                nothing = torch.zeros_like(layer.output)
                known[now.equations.names[position]] = KnownOutput(layer.output, nothing, output_gradient, uncertain)
            uncertain = layer.operator.adjoint(uncertain.to(output_gradient), torch.ones_like(layer.operator.weight)) > 0
        output_gradient = layer.vjp(output_gradient)
    return known


def _near(values: Tensor, before: Tensor) -> Tensor:
    """Whether a unit may yet cross its kink."""
    moved = (values - before).square().mean(1, keepdim=True).sqrt()
    return values.abs() < KINK_DISTANCE * moved
