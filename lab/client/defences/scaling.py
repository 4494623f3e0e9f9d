"""A shorter update: what a loss with a factor, or clipping that always bites, sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from lab.lazy import torch

from lab.client.defences.base import Defence
from lab.federated.tensors import Gradients
from lab.options.fields import Bounds, Help


@dataclass(frozen=True)
class Scaling(Defence):
    """Shrinks the update and keeps its direction, as half the loss does; attacks that compare directions see nothing of it."""

    dial_values: ClassVar[tuple[float, ...]] = (0.5, 0.8, 0.9, 0.95, 0.99)

    strength: Annotated[float, Bounds(0.0, 0.999), Help("share of the length that is taken away")] = 0.5

    def apply(self, update: Gradients, generator: torch.Generator) -> Gradients:
        """(1 - strength) g."""
        return {name: (1 - self.strength) * tensor for name, tensor in update.items()}
