"""Low rank: each layer's update as a product of two thin matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from lab.lazy import Tensor, torch

from lab.client.defences.base import Defence
from lab.federated.tensors import Gradients
from lab.options.fields import Bounds, Help

WHOLE = 1000


@dataclass(frozen=True)
class LowRank(Defence):
    """Sends of each layer's update, a matrix with a row for each output, the few largest singular directions."""

    dial: ClassVar[str] = "rank"
    dial_values: ClassVar[tuple[float, ...]] = (16, 8, 4, 2, 1)

    rank: Annotated[int, Bounds(1, WHOLE, log=True), Help("of each matrix at most (PowerSGD: Vogels et al. 2019)")] = 1

    @classmethod
    def weakest(cls) -> LowRank:
        """A thousand directions: more than there are outputs in any layer but those of the widest networks."""
        return cls(rank=WHOLE)

    @classmethod
    def strongest(cls) -> LowRank:
        """One direction."""
        return cls(rank=1)

    def apply(self, update: Gradients, generator: torch.Generator) -> Gradients:
        """U_r S_r V_r^T, the nearest matrix of that rank; biases and other vectors are sent as they are."""
        return {name: self._nearest(tensor) for name, tensor in update.items()}

    def _nearest(self, tensor: Tensor) -> Tensor:
        if tensor.dim() < 2 or min(tensor.flatten(1).shape) <= self.rank:
            return tensor
        left, sizes, right = torch.linalg.svd(tensor.flatten(1), full_matrices=False)
        kept = left[:, : self.rank] * sizes[: self.rank] @ right[: self.rank]
        return kept.view(tensor.shape)

    def working(self, weights: int, largest: int) -> int:
        """Room for the singular vectors of the tensor at hand, and for what the solver writes."""
        return 6 * largest
