"""Top-k with error feedback: what was left out is sent later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from lab.lazy import torch

from lab.client.defences.base import Defence
from lab.client.defences.pruning import Pruning
from lab.federated.tensors import Gradients
from lab.options.fields import Bounds, Help


@dataclass(frozen=True)
class TopK(Defence):
    """Sends only the largest numbers, and adds those left out to the next round's update (Stich et al. 2018)."""

    dial_values: ClassVar[tuple[float, ...]] = (0.5, 0.8, 0.9, 0.99, 0.999)

    strength: Annotated[float, Bounds(0.0, 1.0), Help("share of the numbers that wait for a later round")] = 0.9

    def apply(self, update: Gradients, generator: torch.Generator) -> Gradients:
        """The largest numbers alone, as ``pruning`` sends them: there is no error yet in the first round."""
        return Pruning(strength=self.strength).apply(update, generator)

    def remembering(self, update: Gradients, memory: Gradients, generator: torch.Generator) -> tuple[Gradients, Gradients]:
        """Top-k of u + e is sent, and the rest is the new e."""
        whole = {name: tensor + memory[name] if name in memory else tensor for name, tensor in update.items()}
        sent = self.apply(whole, generator)
        return sent, {name: tensor - sent[name] for name, tensor in whole.items()}

    def working(self, weights: int, largest: int) -> int:
        """Room as ``pruning`` needs it; the error is written when that is over."""
        return Pruning().working(weights, largest)
