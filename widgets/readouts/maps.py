"""Feature maps as bytes for the browser: the strongest channels, in the shades of one scale."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

MAX_CHANNELS = 16
MAX_PIXELS = 32
"""Along a side of a feature map as shown."""
RUN_BYTES = 150_000
"""Feature maps of one way down, all updates together; each update resends what is there."""


def most_bytes(planned: int) -> int:
    """The bytes that one map may take: a run of n layers sends 1 + 2 + ... + n, and all n once more at the end."""
    layers = max(1, planned)
    return RUN_BYTES // (2 * (layers * (layers + 1) // 2 + layers))


def maps_of(recovered: Tensor, most: int) -> dict[str, Any]:
    """The strongest channels, each of shape (height, width), in ``most`` bytes a layer."""
    step = math.ceil(max(recovered.shape[1:]) / MAX_PIXELS)
    small = recovered[:, ::step, ::step]
    count = max(1, min(MAX_CHANNELS, len(recovered), most // small[0].numel()))
    chosen = small[recovered.square().sum((1, 2)).topk(count).indices.sort().values]
    return _shades(chosen, float(chosen.min()), float(chosen.max()))


def _shades(maps: Tensor, low: float, high: float) -> dict[str, Any]:
    """Values from ``low`` to ``high`` as bytes from 0 to 255, one map after another."""
    count, height, width = maps.shape
    shares = ((maps - low) / max(high - low, 1e-30)).clamp(0, 1).nan_to_num()
    shades = (255 * shares).round().cpu().numpy().astype(np.uint8)
    return {"shades": shades.tobytes(), "count": count, "height": height, "width": width}
