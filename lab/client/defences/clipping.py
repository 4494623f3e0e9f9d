"""Clipping of the whole update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from lab.lazy import torch

from lab.client.defences.base import Defence
from lab.federated.tensors import Gradients
from lab.federated.updates import length
from lab.options.fields import Bounds, Help


@dataclass(frozen=True)
class Clipping(Defence):
    """Shortens an update that is longer than a bound, and keeps its direction (by itself it hides no more than scaling)."""

    dial: ClassVar[str] = "longest"
    dial_values: ClassVar[tuple[float, ...]] = (3.0, 1.0, 0.3, 0.1, 0.03)

    longest: Annotated[float, Bounds(1e-6, 1e6, log=True), Help("length that an update may have at most")] = 1.0

    @classmethod
    def weakest(cls) -> Clipping:
        """A bound that hardly any update reaches."""
        return cls(longest=1e6)

    @classmethod
    def strongest(cls) -> Clipping:
        """A bound that every update passes."""
        return cls(longest=1e-6)

    def apply(self, update: Gradients, generator: torch.Generator) -> Gradients:
        """G min(1, C / ||g||)."""
        whole = float(length(update))
        factor = self.longest / whole if whole > self.longest else 1.0
        return {name: factor * tensor for name, tensor in update.items()}
