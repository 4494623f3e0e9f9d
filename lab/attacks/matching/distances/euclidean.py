"""The distance of Deep Leakage from Gradients: direction and length."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Tensor, no_grad

from lab.attacks.matching.distances.base import Distance
from lab.federated.tensors import Gradients
from lab.federated.updates import dot, flat


@dataclass(frozen=True)
class Euclidean(Distance):
    """||g - g*||^2 (Zhu et al. 2019, equation 4)."""

    def __call__(self, candidate: Gradients, shared: Gradients) -> Tensor:
        """The squared length of the difference, summed over all parameters."""
        return (flat(candidate) - flat(shared)).square().sum()

    @no_grad
    def value_and_gradient(self, candidate: Gradients, shared: Gradients) -> tuple[Tensor, Gradients]:
        """D and v in closed form: v = 2 (g - g*)."""
        gaps = {name: tensor - shared[name] for name, tensor in candidate.items()}
        return dot(gaps, gaps), {name: 2 * gap for name, gap in gaps.items()}
