"""The distance of the paper: direction only."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lab.lazy import Tensor, functional, no_grad

from lab.attacks.matching.distances.base import Blend, Blender, Distance
from lab.federated.tensors import Gradients
from lab.federated.updates import dots, flat, sumprod

TINY = 1e-18
"""Stands in for a length of zero; its square is still a float32."""
ROUNDING = 1e-6
"""What is left of a square length computed as a difference of inner products."""


@dataclass(frozen=True)
class Cosine(Distance):
    """1 - cos(g, g*), one global angle over all parameters together (Geiping et al. 2020, equation 4)."""

    def __call__(self, candidate: Gradients, shared: Gradients) -> Tensor:
        """0 where the directions agree, 2 where they are opposite; blind to length."""
        return 1 - functional.cosine_similarity(flat(candidate), flat(shared), dim=0, eps=1e-30)

    def blender(self, shared: Gradients) -> Blender:
        """The angle with all tensors weighted alike: v = (cos g / |g| - g* / |g*|) / |g|."""
        squares = dots(shared, shared)
        return angle(shared, squares, [1.0] * len(squares))


def angle(shared: Gradients, squares: list[float], weights: list[float]) -> Blender:
    """1 - cos and its v_l = w_l (cos g_l / |g| - g*_l / |g*|) / |g|, with the tensors' square lengths weighted by w."""
    other_square = max(sumprod(weights, squares), TINY**2)

    @no_grad
    def blend(candidate: Gradients) -> tuple[Tensor, Blend]:
        own_squares, products = dots(candidate, candidate), dots(candidate, shared)
        own_square = max(sumprod(weights, own_squares), TINY**2)
        lengths = math.sqrt(own_square * other_square)
        cosine = sumprod(weights, products) / lengths
        own, other = [weight * cosine / own_square for weight in weights], [weight / lengths for weight in weights]
        parts = zip(own, other, own_squares, products, squares, strict=True)
        square = sum(a * a * gg - 2 * a * b * gs + b * b * ss for a, b, gg, gs, ss in parts)
        floor = (ROUNDING / lengths) ** 2 * other_square
        distance = next(iter(shared.values())).new_tensor(1 - cosine)
        return distance, Blend(own, other, math.sqrt(max(square, floor)))

    return blend
