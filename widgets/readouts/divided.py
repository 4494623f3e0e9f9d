"""The first step of the way down, a division, as plain data and bytes: one value with its numbers, and all as maps."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from widgets.readouts.maps import maps_of
from widgets.run.frames import spoken_names

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lab import Round
    from lab.evaluation.round import RoundWithoutTruth

MAX_BYTES = 1024
"""Of all maps together; they are sent with each update."""


def divided(attacked: Round | RoundWithoutTruth) -> dict[str, Any] | None:
    """What entered the lowest fully connected layer, read off its loudest unit; None where one division does not tell it.

    ``slope`` / ``bias_slope`` = ``value``, that of input ``position``, the largest; ``error`` is the largest of all ``count``
    values against the truth, None where nobody knows it.
    """
    from lab.evaluation.derivation import derive

    began = time.perf_counter()
    seen = attacked.observation
    derivation = derive(attacked) if seen.batch_size == 1 else None
    if derivation is None or not bool(derivation.recovered.isfinite().all()):
        return None
    position = int(derivation.recovered.abs().argmax())
    layers = dict.fromkeys(name.rpartition(".")[0] for name in seen.update)
    found = {
        "layer": spoken_names(seen.network, layers)[derivation.layer],
        "row": derivation.row,
        "position": position,
        "slope": float(derivation.weight_row[position]),
        "bias_slope": float(derivation.bias_gradient[derivation.row]),
        "value": float(derivation.recovered[position]),
        "count": len(derivation.recovered),
        "error": derivation.max_abs_error,
        "maps": None if derivation.found is not None else _as_maps(derivation.recovered, seen.network),
    }
    return found | {"seconds": time.perf_counter() - began}


def _as_maps(values: Tensor, network: nn.Module) -> dict[str, Any] | None:
    """The values as the maps that the lowest convolutions left; None where they are no square maps."""
    from torch import nn

    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    if not convolutions or len(values) % convolutions[-1].out_channels:
        return None
    side = math.isqrt(len(values) // convolutions[-1].out_channels)
    if side < 2 or convolutions[-1].out_channels * side**2 != len(values):
        return None
    return maps_of(values.reshape(-1, side, side), MAX_BYTES)
