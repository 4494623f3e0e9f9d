"""What a distance between two updates is; zero (or its least value) at equality."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from lab.catalogue import Entry
from lab.types import Gradients

Slope = Callable[[Gradients], tuple[Tensor, Gradients]]
"""From a candidate's update to the distance D and v = dD/dg."""


class Distance(Entry):
    """Base of all distances: a scalar that is zero where the candidate's update equals the shared one."""

    kind: ClassVar[str] = "distance"

    @abstractmethod
    def __call__(self, candidate: Gradients, shared: Gradients) -> Tensor:
        """The distance, differentiable in ``candidate``; both are keyed alike."""

    def slope(self, candidate: Gradients, shared: Gradients) -> tuple[Tensor, Gradients]:
        """The distance D and v = dD/dg at ``candidate``, outside any graph; a closed form may override it."""
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in candidate.items()}
        value = self(leaves, shared)
        directions = torch.autograd.grad(value, list(leaves.values()))
        return value.detach(), dict(zip(leaves, directions, strict=True))

    def against(self, shared: Gradients) -> Slope:
        """``slope`` for one shared update; what depends on that alone may be computed once."""
        return lambda candidate: self.slope(candidate, shared)


def dot(one: Gradients, other: Gradients) -> Tensor:
    """The inner product over all tensors together, without copying them into one vector."""
    return torch.stack([torch.dot(tensor.flatten(), other[name].flatten()) for name, tensor in one.items()]).sum()


def length(update: Gradients) -> Tensor:
    """The Euclidean norm over all tensors together."""
    return dot(update, update).sqrt()


def flat(update: Gradients) -> Tensor:
    """All tensors of an update, one after another, as one vector."""
    return torch.cat([tensor.flatten() for tensor in update.values()])
