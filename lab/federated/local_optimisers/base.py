"""What a local optimiser is: the rule from a gradient, and those before it, to the direction of a client's step."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from lab.lazy import Tensor

from lab.options.catalogue import Entry

Memory = tuple[Tensor, ...]
"""What an optimiser remembers of a tensor's gradients from one step to the next; nothing before the first."""


class LocalOptimiser(Entry):
    """Base of all local optimisers: theta <- theta - tau d, with a direction d for each tensor; without a graph of its own."""

    kind: ClassVar[str] = "local_optimiser"
    is_linear: ClassVar[bool]
    """Whether directions are sums of gradients and weights, with factors that are known beforehand."""

    @classmethod
    def usual(cls) -> tuple[LocalOptimiser, ...]:
        """The settings of it that somebody tries who was told none."""
        return (cls(),)

    @property
    @abstractmethod
    def is_plain(self) -> bool:
        """Whether each direction is the gradient itself."""

    @property
    @abstractmethod
    def remembered(self) -> int:
        """How many numbers the optimiser remembers for each weight."""

    @abstractmethod
    def direction(
        self, step: int, weight: Tensor, gradient: Tensor, memory: Memory, softness: float = 0.0
    ) -> tuple[Tensor, Memory]:
        """The direction of step number ``step``, from 0, and what is remembered then; nothing given is changed.

        Differentiable in the gradient. A direction that is the gradient itself is the very tensor that was given.
        ``softness``: a size of gradients below which a rule that hides sizes is to let them through, for whoever climbs it.
        """

    def in_strides(self, steps: float) -> LocalOptimiser:
        """An optimiser that makes of one gradient, for so many steps, about what this one makes of as many like it."""
        return self
