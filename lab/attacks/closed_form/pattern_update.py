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
from lab.attacks.closed_form.linearised import ConvolutionPiece
from lab.attacks.closed_form.weight_equations import Known

NEAR = 3.0
"""A unit is near its kink within so many times the last move of its position, root mean square over channels."""
FEWEST = 0.5
"""Share of a layer's equations that must remain when its hidden units are taken out, or the layer is left out."""


def reread(now: Point, before: Point) -> Mapping[str, Known]:
    """What is known below the top from two pictures, the later one ``now``, by module name.

    The lowest layer is left out: its few weights tell little, and each hidden unit above it spoils many of its own.
    """
    known: dict[str, Known] = {}
    slope = now.stretch.known.slope
    unsure = torch.zeros_like(slope, dtype=torch.bool)
    for position in range(len(now.pieces) - 1, 0, -1):
        piece = now.pieces[position]
        if isinstance(piece, ConvolutionPiece):
            if position < len(now.pieces) - 1:
                unsure = unsure | _near(piece.output, before.pieces[position].output)
                if int(unsure.sum()) > (1 - FEWEST) * piece.operator.weight.numel():
                    return known
                nothing = torch.zeros_like(piece.output)
                known[now.stretch.names[position]] = Known(piece.output, nothing, slope, unsure)
            unsure = piece.operator.adjoint(unsure.to(slope), torch.ones_like(piece.operator.weight)) > 0
        slope = piece.cotangent(slope)
    return known


def _near(values: Tensor, before: Tensor) -> Tensor:
    """Whether a unit may yet cross its kink."""
    moved = (values - before).square().mean(1, keepdim=True).sqrt()
    return values.abs() < NEAR * moved
