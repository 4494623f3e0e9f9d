"""The distance of the paper: direction only."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lab.distances.base import Distance, dot, flat, length
from lab.types import Gradients

TINY = 1e-18
"""Stands in for a length of zero; its square is still a float32."""


@dataclass(frozen=True)
class Cosine(Distance):
    """1 - cos(g, g*), one global angle over all parameters together (Geiping et al. 2020, equation 4)."""

    def __call__(self, candidate: Gradients, shared: Gradients) -> Tensor:
        """0 where the directions agree, 2 where they are opposite; blind to length."""
        return 1 - functional.cosine_similarity(flat(candidate), flat(shared), dim=0, eps=1e-30)

    @torch.no_grad()
    def slope(self, candidate: Gradients, shared: Gradients) -> tuple[Tensor, Gradients]:
        """In closed form: v = (cos g / |g| - g* / |g*|) / |g|."""
        own, other = length(candidate).clamp_min(TINY), length(shared).clamp_min(TINY)
        cosine = dot(candidate, shared) / (own * other)
        along, across = float(cosine / own.square()), float(1 / (own * other))
        return 1 - cosine, {name: (tensor * along).sub_(shared[name], alpha=across) for name, tensor in candidate.items()}
