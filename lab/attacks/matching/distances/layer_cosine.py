"""Direction, tensor by tensor."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Tensor, functional, torch

from lab.attacks.matching.distances.base import Distance
from lab.federated.tensors import Gradients
from lab.federated.updates import flat


@dataclass(frozen=True)
class LayerCosine(Distance):
    """The mean over parameter tensors of 1 - cos(g, g*): each layer counts alike."""

    def __call__(self, candidate: Gradients, shared: Gradients) -> Tensor:
        """Between 0 and 2; tensors whose shared gradient is zero are left out."""
        angles = [
            1 - functional.cosine_similarity(candidate[name].flatten(), target.flatten(), dim=0, eps=1e-30)
            for name, target in shared.items()
            if target.any()
        ]
        return torch.stack(angles).mean() if angles else flat(candidate).sum() * 0.0
