"""A distance on the numbers that were sent: of a pruned update the zeros say nothing of what was there."""

from __future__ import annotations

from dataclasses import dataclass

from lab.late import Tensor

from lab.distances.base import Distance
from lab.types import Gradients


@dataclass(frozen=True)
class SentEntries(Distance):
    """Another distance, with the candidate's numbers set to zero wherever the shared ones are."""

    inner: Distance

    def __call__(self, candidate: Gradients, shared: Gradients) -> Tensor:
        """The inner distance of what was sent."""
        return self.inner(_sent(candidate, shared), shared)

    def slope(self, candidate: Gradients, shared: Gradients) -> tuple[Tensor, Gradients]:
        """That of the inner distance, and nothing along the numbers that were not sent."""
        value, direction = self.inner.slope(_sent(candidate, shared), shared)
        return value, _sent(direction, shared)


def _sent(update: Gradients, shared: Gradients) -> Gradients:
    return {name: tensor * shared[name].ne(0) for name, tensor in update.items()}
