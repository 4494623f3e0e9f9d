"""The distance of the paper: direction only."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from lab.distances.base import Distance, flat
from lab.types import Gradients


@dataclass(frozen=True)
class Cosine(Distance):
    """1 - cos(g, g*), one global angle over all parameters together (Geiping et al. 2020, equation 4)."""

    def __call__(self, candidate: Gradients, shared: Gradients) -> Tensor:
        """0 where the directions agree, 2 where they are opposite; blind to length."""
        return 1 - functional.cosine_similarity(flat(candidate), flat(shared), dim=0, eps=1e-30)
