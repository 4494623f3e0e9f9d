"""Signs, softly: what is left to compare where magnitudes were taken away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lab.lazy import Tensor, functional

from lab.attacks.matching.distances.base import Distance
from lab.federated.tensors import Gradients
from lab.federated.updates import flat
from lab.options.fields import Bounds, Help

TINY = 1e-15
"""Stands in for a length of zero, and bounds the gradients there."""


@dataclass(frozen=True)
class SoftSigns(Distance):
    """1 - cos over all parameters together, of g / (|g| + softness mean|g|), tensor by tensor, for either update.

    A number far from zero counts by its sign, one near zero by itself, so that the choice which a sign hides has a gradient.
    Of signs alone (signSGD, Bernstein et al. 2018) nothing else arrived, and the plain cosine would ask for a gradient
    whose numbers are all of one size, which no picture has. Blind to the length of each tensor.
    """

    softness: Annotated[float, Bounds(0.001, 100.0, log=True), Help("share of the mean up to which a number is small")] = 0.3

    def __call__(self, candidate: Gradients, shared: Gradients) -> Tensor:
        """0 where the directions agree, 2 where they are opposite."""
        return 1 - functional.cosine_similarity(self._softened(candidate), self._softened(shared), dim=0, eps=TINY)

    def _softened(self, update: Gradients) -> Tensor:
        """All numbers, each between -1 and 1."""
        parts = {}
        for name, tensor in update.items():
            size = tensor.abs()
            parts[name] = tensor / (size + self.softness * size.mean() + TINY)
        return flat(parts)
