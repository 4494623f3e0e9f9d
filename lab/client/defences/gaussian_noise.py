"""Gaussian noise on the update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from lab.lazy import torch

from lab.client.defences.base import Defence
from lab.federated.tensors import Gradients
from lab.federated.updates import flat
from lab.options.fields import Bounds, Help
from lab.randomness import normal_like


@dataclass(frozen=True)
class GaussianNoise(Defence):
    """Adds independent normal noise to each number sent (without clipping this is no differential privacy)."""

    dial_values: ClassVar[tuple[float, ...]] = (0.1, 0.3, 1.0, 3.0, 5.0)

    strength: Annotated[float, Bounds(0.0, 100.0), Help("length of the noise over the length of the update")] = 0.01

    def apply(self, update: Gradients, generator: torch.Generator) -> Gradients:
        """G + strength ||g|| n / sqrt(d) with n standard normal and d numbers in all."""
        whole = flat(update)
        deviation = self.strength * whole.norm() / whole.numel() ** 0.5
        return {name: tensor + deviation * normal_like(tensor, generator) for name, tensor in update.items()}

    def working(self, weights: int, largest: int) -> int:
        """Room for the update as one vector, for noise and for its sum with the tensor at hand."""
        return weights + 2 * largest
