"""Direction, with no layer louder than its number of parameters."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Tensor

from lab.attacks.matching.distances.base import Blender, Distance, balance
from lab.attacks.matching.distances.cosine import Cosine, angle
from lab.federated.tensors import Gradients
from lab.federated.updates import dots


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
        roots = [weight**0.5 for weight in self.weights(shared, dots(shared, shared))]
        return Cosine()(_scaled(candidate, roots), _scaled(shared, roots))

    def blender(self, shared: Gradients) -> Blender:
        """The angle with each tensor weighted: v_l = w_l (cos g_l / |g| - g*_l / |g*|) / |g|, with lengths weighted by w."""
        squares = dots(shared, shared)
        return angle(shared, squares, self.weights(shared, squares))

    def weights(self, shared: Gradients, squares: list[float]) -> list[float]:
        """The balance of the shared update; a subclass may weigh in something else."""
        return balance(shared, squares)


def _scaled(update: Gradients, factors: list[float]) -> Gradients:
    return {name: tensor * factor for (name, tensor), factor in zip(update.items(), factors, strict=True)}
