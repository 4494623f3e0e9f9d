"""What is told of pictures at the front door: their shape, and how a model of one's own normalises them."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Any

from lab.lazy import Tensor, nn, np, torch

from lab.errors import LabError, quoted
from lab.federated.side_information import detached_on_cpu
from lab.randomness import stream

if TYPE_CHECKING:
    from lab.federated.classifier import Normalise


def checked_shape(given: Any) -> tuple[int, int, int]:
    """(channels, height, width), as told. Raises ``LabError`` for what is no shape of a picture."""
    try:
        channels, height, width = (int(size) for size in islice(given, 4) if size == int(size))
    except (TypeError, ValueError, OverflowError):
        channels = height = width = 0
    if min(channels, height, width) < 1:
        raise LabError(
            f"input_shape = {quoted(given)} is not the shape of a picture; give (channels, height, width), such as (3, 32, 32)."
        )
    return channels, height, width


def normalisation(mean: Any, std: Any, channels: int, own: nn.Module) -> Normalise:
    """(pixels - mean) / std in the model's precision; nothing where neither is given. Raises ``LabError``."""
    from lab.federated.classifier import Normalise

    shift = _per_channel("mean", 0.0 if mean is None else mean, channels)
    scale = _per_channel("std", 1.0 if std is None else std, channels)
    if min(scale) <= 0:
        raise LabError(f"std = {quoted(std)} is not possible; give numbers above 0.")
    return Normalise(shift, scale).to(_reference(own))


def _per_channel(name: str, given: Any, channels: int) -> tuple[float, ...]:
    try:
        numbers = [float(number) for number in np.asarray(detached_on_cpu(given), dtype=float).reshape(-1)]
    except (TypeError, ValueError):
        numbers = list[float]()
    if len(numbers) not in (1, channels) or not all(map(math.isfinite, numbers)):
        raise LabError(f"{name} = {quoted(given)} is not possible; give a number, or one for each of {channels} channels.")
    return tuple(numbers * channels if len(numbers) == 1 else numbers)


def _reference(own: nn.Module) -> Tensor:
    """A tensor of the model's type and place."""
    return next((weight for weight in own.parameters() if weight.is_floating_point()), next(own.parameters()))


def probe_of(own: nn.Module, shape: tuple[int, int, int, int]) -> Tensor:
    """Random pixels to try the model on, shape (batch, channels, height, width)."""
    return torch.rand(shape, generator=stream(0, "pictures to try a model on"), dtype=torch.float32).to(_reference(own))
