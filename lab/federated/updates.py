"""Arithmetic of updates: inner products and lengths over all tensors together."""

from __future__ import annotations

from lab.lazy import Float, Tensor, torch

from lab.federated.tensors import Gradients
from lab.federated.typed_torch import numbers


def dot(one: Gradients, other: Gradients) -> Tensor:
    """The inner product over all tensors together, without copying them into one vector."""
    return _dots(one, other).sum()


def dots(one: Gradients, other: Gradients) -> list[float]:
    """The inner product of each pair of tensors; numbers, for there are few, and tensors so small cost more than they tell."""
    return numbers(_dots(one, other))


def _dots(one: Gradients, other: Gradients) -> Tensor:
    return torch.stack([torch.dot(tensor.flatten(), other[name].flatten()) for name, tensor in one.items()])


def sumprod(one: list[float], other: list[float]) -> float:
    """The inner product of two lists."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def shapes(update: Gradients) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in update.items()}


def length(update: Gradients) -> Tensor:
    """The Euclidean norm over all tensors together."""
    return dot(update, update).sqrt()


def nearest_multiple(vector: Float[Tensor, " numbers"], wanted: Float[Tensor, " numbers"]) -> tuple[float, float]:
    """The factor s at which s times a vector is nearest to another, and how far off that is: ||s v - w|| / ||w||."""
    factor = vector @ wanted / (vector @ vector).clamp_min(1e-300)
    left = factor * vector - wanted
    return float(factor), float(torch.sqrt((left @ left) / (wanted @ wanted)))


def flat(update: Gradients) -> Tensor:
    """All tensors of an update, one after another, as one vector."""
    return torch.cat([tensor.flatten() for tensor in update.values()])
