"""A distance on what a pruned update tells: the numbers that were sent, and that no other is larger."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Tensor, no_grad, torch

from lab.attacks.matching.partial_distance import ObservedPart, PartialDistance
from lab.federated.tensors import Gradients
from lab.federated.updates import length


@dataclass(frozen=True)
class SentEntries(PartialDistance):
    """Another distance, in which the candidate's numbers that were not sent count by what they exceed the smallest sent.

    Pruning keeps the largest numbers (top-k), so a zero says that the number there was no larger than the least that was
    kept in its tensor. To take the zeros for numbers, or for nothing, is to lose that: on three pictures pruned by 99 %
    SSIM .59 without the bound and .65 with it, by 99.9 % .27 and .36.
    """

    def observed_part(self, shared: Gradients) -> ObservedPart:
        """What was sent, and what is too large to have been left out."""
        return _Bounds(shared)


class _Bounds(ObservedPart):
    """How large the numbers may be that were not sent: as the least of their tensor, of the update where none was sent."""

    def __init__(self, shared: Gradients) -> None:
        self.shared = shared
        least = {name: _least(tensor) for name, tensor in shared.items()}
        lowest = min(least.values())
        self.least = {name: low if low < torch.inf else lowest for name, low in least.items()}

    def restrict(self, candidate: Gradients) -> Gradients:
        """What was sent as it is, and of the rest what goes beyond its bound."""
        scale = self._scale(candidate)
        return {name: self._beyond(name, tensor, scale) for name, tensor in candidate.items()}

    def pull_back(self, gradient: Gradients, part: Gradients) -> Gradients:
        """Nothing along the numbers that were rightly left out."""
        return {name: tensor * (part[name].ne(0) | self._sent(name)) for name, tensor in gradient.items()}

    def _beyond(self, name: str, tensor: Tensor, scale: float) -> Tensor:
        bound = scale * self.least[name]
        return torch.where(self._sent(name), tensor, tensor - tensor.clamp(-bound, bound))

    @no_grad
    def _scale(self, candidate: Gradients) -> float:
        """The candidate's length over the shared one's, where numbers were sent: distances blind to lengths stay so."""
        square = sum(float((tensor * self._sent(name)).square().sum()) for name, tensor in candidate.items())
        return square**0.5 / float(length(self.shared))

    def _sent(self, name: str) -> Tensor:
        return self.shared[name].ne(0)


def _least(tensor: Tensor) -> float:
    """The smallest magnitude beside the zeros; infinite where there are zeros alone."""
    sizes = tensor.abs()
    return float(torch.where(sizes > 0, sizes, torch.inf).min())
