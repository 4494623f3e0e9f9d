"""Direction, with the layers near the loss heard best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lab.attacks.matching.distances.balanced_cosine import BalancedCosine
from lab.federated.tensors import Gradients
from lab.options.fields import Bounds, Help


@dataclass(frozen=True)
class TopHeavyCosine(BalancedCosine):
    """1 - cos, one angle over all parameters, balanced, where tensors count the more the nearer they are to the loss.

    An early layer's gradient has passed every ReLU and max-pooling above it, and each that the candidate sets
    wrongly tears it: far from the picture it misleads. The last layers' gradients bend least, and show the way.
    """

    emphasis: Annotated[
        float, Bounds(1.0, 1e6, log=True), Help("by what factor the last tensor's square counts more than the first one's")
    ] = 10.0

    def weights(self, shared: Gradients, squares: list[float]) -> list[float]:
        """The balance, times a factor that grows evenly from 1 / ``emphasis`` at the first tensor to 1 at the last."""
        balanced = super().weights(shared, squares)
        last = max(1, len(balanced) - 1)
        return [weight * self.emphasis ** (index / last - 1) for index, weight in enumerate(balanced)]
