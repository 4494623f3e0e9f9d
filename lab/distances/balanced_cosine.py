"""Direction, with no layer louder than its number of parameters."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.distances.base import Distance, Slope
from lab.distances.cosine import TINY, Cosine
from lab.types import Gradients


@dataclass(frozen=True)
class BalancedCosine(Distance):
    """1 - cos, one angle over all parameters, where no tensor counts for more than its share of them.

    In a trained network the first convolution can hold three quarters of the square length of the
    gradient in one percent of the parameters; the plain cosine then looks at little else. Both
    updates are scaled tensor by tensor, by what the shared one alone tells, so that a tensor's
    square length there is at most its share of the parameters; quieter tensors stay as they are.
    """

    def __call__(self, candidate: Gradients, shared: Gradients) -> Tensor:
        """0 where the directions agree, 2 where they are opposite; blind to length."""
        roots = _weights(shared, _dots(shared, shared)).sqrt()
        return Cosine()(_scaled(candidate, roots), _scaled(shared, roots))

    def slope(self, candidate: Gradients, shared: Gradients) -> tuple[Tensor, Gradients]:
        """In closed form: v_l = w_l (cos g_l / |g| - g*_l / |g*|) / |g|, with lengths weighted by w."""
        return self.against(shared)(candidate)

    def against(self, shared: Gradients) -> Slope:
        """The weights and the shared update's length are computed once."""
        squares = _dots(shared, shared)
        weights = _weights(shared, squares)
        other = weights.dot(squares).sqrt().clamp_min(TINY)

        @torch.no_grad()
        def slope(candidate: Gradients) -> tuple[Tensor, Gradients]:
            own = weights.dot(_dots(candidate, candidate)).sqrt().clamp_min(TINY)
            cosine = weights.dot(_dots(candidate, shared)) / (own * other)
            along, across = (weights * cosine / own.square()).tolist(), (weights / (own * other)).tolist()
            factors = zip(candidate.items(), along, across, strict=True)
            return 1 - cosine, {name: (tensor * a).sub_(shared[name], alpha=b) for (name, tensor), a, b in factors}

        return slope


@torch.no_grad()
def _weights(shared: Gradients, squares: Tensor) -> Tensor:
    """For each tensor min(1, share of the parameters / share of the square length)."""
    sizes = squares.new_tensor([tensor.numel() for tensor in shared.values()])
    fair = sizes / sizes.sum() * squares.sum()
    return torch.where(squares > fair, fair / squares, 1.0)


def _dots(one: Gradients, other: Gradients) -> Tensor:
    """The inner product of each pair of tensors."""
    return torch.stack([torch.dot(tensor.flatten(), other[name].flatten()) for name, tensor in one.items()])


def _scaled(update: Gradients, factors: Tensor) -> Gradients:
    return {name: tensor * factor for (name, tensor), factor in zip(update.items(), factors, strict=True)}
