"""The shapes that layers give, without computing anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from torch import nn

from lab.errors import LabError
from lab.federated.causal_transformer import SentenceLikelihood, TokenEmbedding, WordMean
from lab.federated.transformer import FirstToken, SelfAttention, TokenMean

WINDOWED = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


def output_shape(module: nn.Module, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape that a layer gives for an input of that shape, the pictures first; other layers keep it.

    Raises ``LabError`` where a window is larger than what it is to see.
    """
    if isinstance(module, nn.Linear):
        return (*shape[:-1], module.out_features)
    if isinstance(module, nn.Flatten):
        return (shape[0], math.prod(shape[1:]))
    if isinstance(module, SelfAttention):
        return (*shape[:-1], shape[-1] // 3)
    if isinstance(module, TokenEmbedding):
        return (*shape[:2], module.words.shape[1])
    if isinstance(module, SentenceLikelihood):
        return (shape[0], 2)
    if isinstance(module, FirstToken | TokenMean | WordMean):
        return (shape[0], shape[-1])
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return (*shape[:2], *_pair(cast(int, module.output_size)))
    if not isinstance(module, WINDOWED):
        return tuple(shape)
    channels = module.out_channels if isinstance(module, nn.Conv2d) else shape[1]
    rounded = math.ceil if getattr(module, "ceil_mode", False) else math.floor
    windows = [_pair(getattr(module, name, 1)) for name in ("kernel_size", "stride", "padding", "dilation")]
    sides = zip(shape[2:], *windows, strict=True)
    places = [rounded((size + 2 * pad - gap * (taps - 1) - 1) / step) + 1 for size, taps, step, pad, gap in sides]
    if min(places) < 1:
        raise LabError(f"Pictures of {shape[-2]} x {shape[-1]} are too small for a layer of this network; take larger ones.")
    return (shape[0], channels, *places)


def _pair(sides: int | tuple[int, int]) -> tuple[int, int]:
    return (sides, sides) if isinstance(sides, int) else sides
