"""PyTorch, imported when something is first asked of it: two seconds that listings, help and refusals need not wait for.

What can be chosen, and how it is checked, is told without a tensor; so the modules that the catalogue and the command line
read take torch and numpy from here, by the names that they have everywhere. A type checker sees the packages themselves.

``Bool``, ``Float`` and ``Int`` are jaxtyping's where that is loaded, as the tests do before the lab to have shapes checked at
run time; elsewhere a shape is for the reader, and ``Float[Tensor, "batch classes"]`` is a tensor.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import torch
    from jaxtyping import Bool, Float, Int
    from torch import Tensor, nn
    from torch.nn import functional
else:

    class LazyModule:
        """A module that is imported at the first question; from then on its names are simply this object's."""

        def __init__(self, name: str) -> None:
            self.__name__ = name  # which stays when its names become the module's

        def __getattr__(self, attribute: str) -> Any:
            module = import_module(self.__name__)
            self.__dict__ = module.__dict__
            return getattr(module, attribute)

    class _IsTensor(type):
        """Whether a value is a tensor, asked of torch."""

        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, torch.Tensor)

    class Tensor(metaclass=_IsTensor):
        """``torch.Tensor`` where it only says what a name is: in annotations, in shapes and to ``isinstance``."""

    class Shaped:
        """What stands for jaxtyping's types of arrays."""

        def __class_getitem__(cls, array_and_shape: tuple[type, str]) -> type:
            return array_and_shape[0]

    torch, nn, functional, np = map(LazyModule, ("torch", "torch.nn", "torch.nn.functional", "numpy"))
    shapes = sys.modules.get("jaxtyping")
    Bool, Float, Int = (shapes.Bool, shapes.Float, shapes.Int) if shapes else (Shaped, Shaped, Shaped)

__all__ = ["Bool", "Float", "Int", "Tensor", "functional", "nn", "no_grad", "np", "torch"]

P = ParamSpec("P")
R = TypeVar("R")


def no_grad(function: Callable[P, R]) -> Callable[P, R]:
    """The function without a graph, as ``torch.no_grad()`` decorates it."""

    @wraps(function)
    def graphless(*arguments: P.args, **keywords: P.kwargs) -> R:
        with torch.no_grad():
            return function(*arguments, **keywords)

    return graphless
