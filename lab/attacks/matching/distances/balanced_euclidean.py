"""Direction and length, with no layer louder than its number of parameters."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Tensor, no_grad, torch

from lab.attacks.matching.distances.base import Distance, ValueAndGradient, balance
from lab.federated.tensors import Gradients
from lab.federated.updates import dots, sumprod


@dataclass(frozen=True)
class BalancedEuclidean(Distance):
    """||g - g*||^2, where no tensor counts for more than its share of the parameters.

    The control between ``euclidean`` and ``balanced_cosine``: the weights of the one, the length that the other
    leaves out. Both are told apart from it by one thing.
    """

    def __call__(self, candidate: Gradients, shared: Gradients) -> Tensor:
        """The squared length of the difference, each tensor's weighted by the balance of the shared update."""
        squares = torch.stack([(candidate[name] - target).square().sum() for name, target in shared.items()])
        return squares @ squares.new_tensor(balance(shared, dots(shared, shared)))

    def value_and_gradient(self, candidate: Gradients, shared: Gradients) -> tuple[Tensor, Gradients]:
        """D and v in closed form: v_l = 2 w_l (g_l - g*_l)."""
        return self.against(shared)(candidate)

    def against(self, shared: Gradients) -> ValueAndGradient:
        """``value_and_gradient`` with the weights computed once."""
        weights = dict(zip(shared, balance(shared, dots(shared, shared)), strict=True))

        @no_grad
        def value_and_gradient(candidate: Gradients) -> tuple[Tensor, Gradients]:
            gaps = {name: tensor - shared[name] for name, tensor in candidate.items()}
            value = sumprod([weights[name] for name in gaps], dots(gaps, gaps))
            return next(iter(gaps.values())).new_tensor(value), {name: 2 * weights[name] * gap for name, gap in gaps.items()}

        return value_and_gradient
