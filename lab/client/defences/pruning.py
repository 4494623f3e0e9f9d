"""Top-k pruning of the update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from lab.lazy import torch

from lab.client.defences.base import Defence
from lab.federated.tensors import Gradients
from lab.federated.updates import flat
from lab.options.fields import Bounds, Help


@dataclass(frozen=True)
class Pruning(Defence):
    """Sends only the largest numbers of the update and zero for the others."""

    dial_values: ClassVar[tuple[float, ...]] = (0.5, 0.8, 0.9, 0.99, 0.999)

    strength: Annotated[float, Bounds(0.0, 1.0), Help("share of the numbers that are set to zero")] = 0.9

    def apply(self, update: Gradients, generator: torch.Generator) -> Gradients:
        """Keeps the (1 - strength) share with the largest magnitude over all tensors."""
        dropped = int(self.strength * flat(update).numel())
        if dropped == 0:
            return dict(update)
        threshold = flat(update).abs().kthvalue(dropped).values
        return {name: torch.where(tensor.abs() > threshold, tensor, 0.0) for name, tensor in update.items()}

    def working(self, weights: int, largest: int) -> int:
        """Room for the update as one vector, its sizes, and a copy with places in which torch seeks."""
        return 4 * weights
