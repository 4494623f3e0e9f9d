"""Distances on what an update tells, where a part of it was left out: the rest is compared by another distance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from lab.lazy import Tensor

from lab.attacks.matching.distances.base import Distance, ValueAndGradient
from lab.federated.tensors import Gradients


class ObservedPart(ABC):
    """What one shared update tells of the update of any candidate, and what it is silent about."""

    @abstractmethod
    def restrict(self, candidate: Gradients) -> Gradients:
        """The candidate without what the shared update is silent about."""

    @abstractmethod
    def pull_back(self, gradient: Gradients, part: Gradients) -> Gradients:
        """The gradient with respect to the candidate, from that with respect to its part."""


@dataclass(frozen=True)
class PartialDistance(Distance):
    """Base of the distances that are blind to what was left out."""

    inner: Distance

    @abstractmethod
    def observed_part(self, shared: Gradients) -> ObservedPart:
        """By the shared update alone."""

    def __call__(self, candidate: Gradients, shared: Gradients) -> Tensor:
        """The inner distance of the part that is told."""
        return self.inner(self.observed_part(shared).restrict(candidate), shared)

    def value_and_gradient(self, candidate: Gradients, shared: Gradients) -> tuple[Tensor, Gradients]:
        """That of the inner distance, and nothing along what was left out."""
        return self.against(shared)(candidate)

    def against(self, shared: Gradients) -> ValueAndGradient:
        """What is told is worked out once."""
        observed, inner = self.observed_part(shared), self.inner.against(shared)

        def value_and_gradient(candidate: Gradients) -> tuple[Tensor, Gradients]:
            part = observed.restrict(candidate)
            value, gradient = inner(part)
            return value, observed.pull_back(gradient, part)

        return value_and_gradient
