"""Quantisation of the update: few values for each tensor, down to signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from lab.lazy import Tensor, torch

from lab.client.defences.base import Defence
from lab.federated.tensors import Gradients
from lab.options.fields import Bounds, Help
from lab.randomness import uniform_like

WHOLE = 32
"""Bits of a number as it is."""


@dataclass(frozen=True)
class Quantisation(Defence):
    """Rounds each number to a grid of few values: int8, int4, three values by 2 bits, signs alone by 1; QSGD by stochastic."""

    dial: ClassVar[str] = "bits"
    dial_values: ClassVar[tuple[float, ...]] = (8, 6, 4, 2, 1)

    bits: Annotated[int, Bounds(1, WHOLE), Help("of each number; 32 leaves it as it is, 1 sends its sign")] = 8
    stochastic: Annotated[bool, Help("round up or down by chance, so that the mean stays right (Alistarh et al. 2017)")] = False

    @classmethod
    def weakest(cls) -> Quantisation:
        """As many bits as there are."""
        return cls(bits=WHOLE)

    @classmethod
    def strongest(cls) -> Quantisation:
        """Signs alone."""
        return cls(bits=1)

    def apply(self, update: Gradients, generator: torch.Generator) -> Gradients:
        """Each tensor on a grid of its own, which its largest number spans."""
        if self.bits == WHOLE:
            return dict(update)
        rounded = self._sign if self.bits == 1 else self._on_grid
        return {name: rounded(tensor, generator) if tensor.any() else tensor for name, tensor in update.items()}

    def _on_grid(self, tensor: Tensor, generator: torch.Generator) -> Tensor:
        """S round(g / s), s = max |g| / (2^(bits - 1) - 1)."""
        step = tensor.abs().max() / (2 ** (self.bits - 1) - 1)
        places = tensor / step
        return step * ((places + uniform_like(tensor, generator)).floor() if self.stochastic else places.round())

    def _sign(self, tensor: Tensor, generator: torch.Generator) -> Tensor:
        """As long as the mean number (Karimireddy et al. 2019); by chance as the largest, up with (1 + g / max |g|) / 2."""
        if not self.stochastic:
            return tensor.sign() * tensor.abs().mean()
        most = tensor.abs().max()
        return torch.where(uniform_like(tensor, generator) < (1 + tensor / most) / 2, most, -most)

    def working(self, weights: int, largest: int) -> int:
        """Room for places on the grid and chances of the tensor at hand."""
        return 3 * largest
