"""The distance of the paper: direction only."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lab.distances.base import Distance, flat
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
        product, own, other = _dot(candidate, shared), _dot(candidate, candidate).sqrt(), _dot(shared, shared).sqrt()
        own, other = own.clamp_min(TINY), other.clamp_min(TINY)
        cosine = product / (own * other)
        along, across = cosine / own.square(), 1 / (own * other)
        return 1 - cosine, {name: along * tensor - across * shared[name] for name, tensor in candidate.items()}


def _dot(one: Gradients, other: Gradients) -> Tensor:
    return torch.stack([torch.dot(tensor.flatten(), other[name].flatten()) for name, tensor in one.items()]).sum()
