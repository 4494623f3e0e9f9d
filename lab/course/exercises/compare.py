"""Whether two answers are the same, and if not, in what way they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lab.options.words import rounded


def difference(answer: Any, right: Any, tolerance: float, floor: float) -> str:
    """Empty where the answer is right, else how it differs, in one sentence that does not tell the answer."""
    if isinstance(right, Mapping):
        return _of_mappings(answer, right, tolerance, floor)
    if isinstance(right, list | tuple):
        return _of_sequences(answer, right, tolerance, floor)
    if isinstance(right, Tensor | int | float) and not isinstance(right, bool):
        return _of_numbers(answer, right, tolerance, floor)
    agree = answer is right if right is None or isinstance(right, bool) else answer == right
    return "" if agree else f"The answer is {told(answer)}, and that is not what the case asks for."


def told(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, Tensor) and (value.numel() != 1 or value.is_complex()):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, Tensor | float):
        return rounded(float(value), 4)
    if isinstance(value, int | str | None) and len(text := repr(value) if not _is_huge(value) else "") in range(1, 80):
        return text
    return f"a {type(value).__name__}"


def _is_huge(value: Any) -> bool:
    """A whole number that Python itself does not write down."""
    return isinstance(value, int) and abs(value) > 10**80


def _of_mappings(answer: Any, right: Mapping[Any, Any], tolerance: float, floor: float) -> str:
    if not isinstance(answer, Mapping):
        return f"The answer is {told(answer)}; give a dictionary with the {len(right)} keys {_some(right)}."
    if set(answer) != set(right):
        return f"The keys of the answer are {_some(answer)}; they should be {_some(right)}."
    found = ((key, difference(answer[key], right[key], tolerance, floor)) for key in right)
    return next((f"At {key!r}: {fault}" for key, fault in found if fault), "")


def _of_sequences(answer: Any, right: Sequence[Any], tolerance: float, floor: float) -> str:
    if not isinstance(answer, list | tuple):
        return f"The answer is {told(answer)}; give a list or tuple of {len(right)}."
    if len(answer) != len(right):
        return f"The answer has {len(answer)} parts instead of {len(right)}."
    found = ((place, difference(*pair, tolerance, floor)) for place, pair in enumerate(zip(answer, right, strict=True)))
    return next((f"In part {place}: {fault}" for place, fault in found if fault), "")


def _of_numbers(answer: Any, right: Tensor | float, tolerance: float, floor: float) -> str:
    wanted = torch.as_tensor(right, dtype=torch.float64).detach()
    try:
        given = torch.as_tensor(answer, dtype=torch.float64).detach()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        kind = f"a tensor of shape {tuple(wanted.shape)}" if wanted.ndim else "a number"
        return f"The answer is {told(answer)}; give {kind}."
    if given.shape != wanted.shape:
        return f"The answer has the shape {tuple(given.shape)} instead of {tuple(wanted.shape)}."
    if not given.isfinite().all():
        return "The answer holds a number that is infinite or not a number (nan): something was divided by zero."
    if not wanted.numel():
        return ""
    gap, size = (given - wanted).abs().max(), max(float(wanted.abs().max()), floor)
    off = rounded(float(gap / size), 2)
    return "" if gap <= tolerance * size else f"The numbers are off by up to {off} of the largest one."


def _some(keys: Any, most: int = 4) -> str:
    names = [repr(key) for key in keys]
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")
