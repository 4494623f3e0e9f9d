"""What draws from the generator that all threads share, draws from one of its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

FILLING = ("uniform_", "normal_", "bernoulli_", "random_", "exponential_", "geometric_", "cauchy_", "log_normal_")
MAKING = ("rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like")
SAMPLING = ("normal", "bernoulli", "multinomial", "poisson")
BUILT_IN = frozenset([*FILLING, *MAKING, *SAMPLING])
"""Torch's own functions that take a generator; of those written in Python the signature tells."""


class UseGenerator(TorchFunctionMode):
    """Within this context, all that this thread draws from torch's global generator comes from one of its own.

    The modules of a network draw their weights from the global generator, which all threads share: seeding it for a
    moment mixes two networks built at once, and whatever else draws meanwhile. A mode belongs to its thread alone.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """The function as called, but for the generator where it takes one and was given none."""
        given = dict(kwargs or {})
        if given.get("generator") is None and _takes_generator(func):
            given["generator"] = self.generator
        return func(*args, **given)


@cache
def _takes_generator(function: Callable[..., Any]) -> bool:
    if inspect.isfunction(function):
        return "generator" in inspect.signature(function).parameters
    return getattr(function, "__name__", "") in BUILT_IN
