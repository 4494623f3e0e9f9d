"""The sum of absolute differences."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Tensor

from lab.attacks.matching.distances.base import Distance
from lab.federated.tensors import Gradients
from lab.federated.updates import flat


@dataclass(frozen=True)
class L1(Distance):
    """||g - g*||_1, robust against a few wrong entries (Deng et al. 2021, TAG, uses it beside the square)."""

    def __call__(self, candidate: Gradients, shared: Gradients) -> Tensor:
        """The sum over all parameters."""
        return (flat(candidate) - flat(shared)).abs().sum()
