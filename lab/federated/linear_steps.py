"""Local steps whose directions are sums: what gradients and weights come to after all, and where the gradients stood."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from lab.lazy import Tensor, torch

from lab.federated.local_optimisers.base import LocalOptimiser, Memory
from lab.federated.tensors import Gradients


@dataclass(frozen=True, eq=False)
class LinearSteps:
    """theta_K - theta_0 = decay theta_0 - sum_k c_k g_k, with factors that the optimiser alone decides."""

    decay: float
    """What weight decay adds, in units of the weights at the start: from -1 to 0."""
    length: float
    """sum_k c_k: the rate of the single step that all come to."""
    place: float
    """Where on a straight way from start to end the mean gradient stands: the share of what gradients moved."""
    shrinkage: float
    """What weight decay has added there."""

    def mean_gradient(self, update: Gradients, weights: Gradients) -> Gradients:
        """sum_k c_k g_k / sum_k c_k."""
        return {name: self.without_decay(name, tensor, weights) / -self.length for name, tensor in update.items()}

    def without_decay(self, name: str, change: Tensor, weights: Gradients) -> Tensor:
        """What gradients alone changed; of numbers that were not sent (exactly zero, where decay moves all) nothing."""
        return change.sub(change.ne(0) * weights[name].detach(), alpha=self.decay) if self.decay else change


@lru_cache(maxsize=64)
def linear_steps(optimiser: LocalOptimiser, rate: float, count: int) -> LinearSteps:
    """So many steps of a linear optimiser, found by letting it take them on the symbols theta_0, g_0, g_1, ... themselves."""
    symbols = torch.eye(count + 1, dtype=torch.float64)
    places, memory = [symbols[0]], Memory()
    for step in range(count):
        direction, memory = optimiser.direction(step, places[-1], symbols[step + 1], memory)
        places.append(places[-1] - rate * direction)
    end = places[-1]
    length = -float(end[1:].sum())
    mean = end[1:] / -length @ torch.stack(places[:-1])
    return LinearSteps(
        decay=float(end[0]) - 1, length=length, place=-float(mean[1:].sum()) / length, shrinkage=float(mean[0]) - 1
    )
