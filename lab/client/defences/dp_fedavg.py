"""Client-level differential privacy: the whole update clipped, and noise on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from lab.lazy import Tensor, torch

from lab.client.defences.base import Defence
from lab.client.defences.clipping import Clipping
from lab.federated.tensors import Gradients
from lab.options.fields import Bounds, Help
from lab.randomness import normal_like


@dataclass(frozen=True)
class DPFedAvg(Defence):
    """Clips the whole update and adds noise to it (McMahan et al. 2018): all that a client has is private, not one example."""

    dial: ClassVar[str] = "multiplier"
    dial_values: ClassVar[tuple[float, ...]] = (0.01, 0.03, 0.1, 0.3, 1.0)

    longest: Annotated[float, Bounds(1e-6, 1e6, log=True), Help("length that the update may have at most, C")] = 1.0
    multiplier: Annotated[float, Bounds(0.0, 1000.0), Help("deviation of each client's noise over C; 0 promises nothing")] = 0.3

    @classmethod
    def weakest(cls) -> DPFedAvg:
        """No noise, and a bound that hardly any update reaches."""
        return cls(longest=1e6, multiplier=0.0)

    @classmethod
    def strongest(cls) -> DPFedAvg:
        """Hardly anything but noise."""
        return cls(longest=1.0, multiplier=1000.0)

    def apply(self, update: Gradients, generator: torch.Generator) -> Gradients:
        """G min(1, C / ||g||) + N(0, (sigma C)^2)."""
        clipped = Clipping(longest=self.longest).apply(update, generator)
        return {name: tensor + self._noise(tensor, generator) for name, tensor in clipped.items()}

    def _noise(self, like: Tensor, generator: torch.Generator) -> Tensor:
        return self.multiplier * self.longest * normal_like(like, generator)

    def working(self, weights: int, largest: int) -> int:
        """Room for the clipped update, and for noise on the tensor at hand."""
        return weights + 3 * largest
