"""What is made without naming a precision comes in float32, whatever the process's default is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

DEFAULT_TYPE = frozenset(["empty", "zeros", "ones", "eye", "rand", "randn", "normal", "linspace", "logspace"])
"""Torch's functions that make numbers of the default precision unless told another."""
INFERRED_TYPE = frozenset(["tensor", "scalar_tensor", "full", "arange"])
"""Those that make whole numbers or such ones, as the values given are."""


class SinglePrecision(TorchFunctionMode):
    """Within this context, what this thread makes without naming a precision is float32.

    Layers take theirs from ``torch.set_default_dtype``, which belongs to the process; a mode belongs to its thread alone.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """The function as called, but for the precision of what it makes."""
        given, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if given.get("dtype") is not None:
            return func(*args, **given)
        if name in DEFAULT_TYPE and not any(isinstance(value, Tensor) for value in args):
            given["dtype"] = torch.float32
        made = func(*args, **given)
        return made.float() if name in INFERRED_TYPE and made.is_floating_point() else made
