"""Where the second pass stands: the weights theta + h v, with few trips through memory and little of it.

A network of four million parameters is 17 MB; on one core each vector operation over them costs
a thirtieth of a training step, and twice that where it has to ask for fresh memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from lab.attacks.matching.distances.base import Blend
from lab.federated.tensors import Gradients
from lab.federated.updates import length

TINY = 1e-18
"""Stands in for the length of a direction that is zero."""


@runtime_checkable
class Shift(Protocol):
    """The way from theta along v."""

    @property
    def length(self) -> float:
        """|v|, at least ``TINY``."""
        ...

    def by(self, h: float) -> Gradients:
        """The weights theta + h v, in memory that the next call overwrites."""
        ...


class PlainShift:
    """Along any v; the weights are written to ``buffers``."""

    def __init__(self, weights: Gradients, direction: Gradients, buffers: Gradients) -> None:
        self.weights, self.direction, self.buffers = weights, direction, buffers
        self.length = max(float(length(direction)), TINY)

    @torch.no_grad()
    def by(self, h: float) -> Gradients:
        """One addition for each tensor."""
        for name, tensor in self.weights.items():
            torch.add(tensor, self.direction[name], alpha=h, out=self.buffers[name])
        return self.buffers


class BlendShift:
    """Along a blend of both updates; v is never written down, and the weights are written over the candidate's update.

    Who wants a second h pays for the update once more: ``recompute`` computes it.
    """

    def __init__(
        self, weights: Gradients, shared: Gradients, update: dict[str, Tensor], blend: Blend, recompute: Callable[[], Gradients]
    ) -> None:
        self.weights, self.shared, self.blend, self.recompute = weights, shared, blend, recompute
        self.buffers, self.consumed = update, False
        self.length = max(blend.length, TINY)

    def by(self, h: float) -> Gradients:
        """Theta + h own g - h other g*."""
        if self.consumed:
            self.buffers.clear()  # before the update is there once more, so that memory holds it but once
            self.buffers.update(self.recompute())
        buffers, self.consumed = self.buffers, True
        shares = zip(self.weights.items(), self.blend.own, self.blend.other, strict=True)
        with torch.no_grad():
            for (name, tensor), own, other in shares:
                torch.add(tensor, buffers[name], alpha=h * own, out=buffers[name]).sub_(self.shared[name], alpha=h * other)
        return buffers
