"""Numbers that are not as fine as a computation leaves them: on a grid, or with the small ones left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lab.lazy import Tensor, torch

FORMATS = {"bfloat16": 8, "float16": 11}
"""Formats of few binary digits, the coarser first, and how many these are: rounding to d costs 2^-(d + 1), relative."""
MANY = 500
"""So many numbers tell whether they are on a grid, or whether the smallest is suspiciously large."""
FEW_LEVELS = 256
FORMAT_FACTOR = 4
"""A number format shows where what it costs is so many times what single precision costs."""
GAP = 0.02
"""Of many numbers the smallest is far below this share of the middle one, unless small ones were left out."""


@dataclass(frozen=True)
class Grid:
    """What numbers were rounded to."""

    words: str
    levels: int | None
    """Different sizes in the largest tensor; None of a number format."""


def grid_of(update: Mapping[str, Tensor], rounding: float) -> Grid | None:
    """The grid on which all large tensors lie; ``rounding`` is the relative error that they have anyway."""
    tensors = [tensor.detach().cpu().float().flatten() for tensor in update.values()]
    large = [left for tensor in tensors if len(left := tensor[tensor != 0]) >= MANY]
    if not large:
        return None
    levels = [len(tensor.abs().unique()) for tensor in large]
    if all(count <= FEW_LEVELS and len(tensor) >= 4 * count for count, tensor in zip(levels, large, strict=True)):
        return Grid("signs alone" if max(levels) == 1 else f"{max(levels)} sizes", max(levels))
    for name, digits in FORMATS.items():
        if 2.0 ** -(digits + 1) > FORMAT_FACTOR * rounding and all(_has_digits(tensor, digits) for tensor in large):
            return Grid(name, None)
    return None


def _has_digits(tensor: Tensor, digits: int) -> bool:
    """Whether each number has so few binary digits, however large or small it is: a loss may have been scaled."""
    places = torch.frexp(tensor).mantissa * 2**digits
    return torch.equal(places, places.round())


def share_left_out(numbers: Tensor) -> float:
    """The share of zeros, where no small numbers stand beside them; else 0."""
    left = numbers[numbers != 0].abs()
    if len(left) < MANY or len(left) == len(numbers) or float(left.min()) < GAP * float(left.median()):
        return 0.0
    return 1 - len(left) / len(numbers)
