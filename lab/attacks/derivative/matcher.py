"""The mixed derivative that every matching step needs: d/dx <g(x), v> (Geiping et al. 2020, equation 4)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from lab.late import Tensor

from lab.federated.attention import PlainAttention
from lab.federated.gradients import UpdateRule, pull_back
from lab.federated.tensors import Gradients, Images, Targets

if TYPE_CHECKING:
    from lab.attacks.matching.distances.base import Distance


@dataclass(frozen=True, eq=False)
class Match:
    """How well a candidate matches: the distance and its gradient with respect to each input."""

    distance: Tensor
    image_gradient: Images
    target_gradient: Tensor | None


@runtime_checkable
class Matcher(Protocol):
    """How well pictures and targets match what was shared."""

    def __call__(self, images: Images, targets: Targets) -> Match:
        """The distance and its gradients."""
        ...

    def towards(self, shared: Gradients) -> Matcher:
        """The same, of another shared update."""
        ...


@dataclass(frozen=True, eq=False)
class ExactMatcher:
    """The reference: double backward through the client's rule, for any network and protocol."""

    rule: UpdateRule
    distance: Distance
    shared: Gradients

    def __call__(self, images: Images, targets: Targets) -> Match:
        """The distance and its exact gradients."""
        return match(self.rule, images, targets, self.distance, self.shared)

    def towards(self, shared: Gradients) -> ExactMatcher:
        """The same, of another shared update."""
        return replace(self, shared=shared)


def match(rule: UpdateRule, images: Images, targets: Targets, distance: Distance, shared: Gradients) -> Match:
    """D(g(x), g*) and dD/dx = d/dx <g(x), v> with v = dD/dg (Geiping et al. 2020, equation 4).

    v is taken at the detached gradient first, so that the second backward pass is one
    vector-Jacobian product towards the inputs alone.
    """
    inputs = [tensor.detach().requires_grad_() for tensor in (images, targets) if tensor.is_floating_point()]
    soft = inputs[1] if len(inputs) == 2 else targets
    with PlainAttention():
        update = rule(inputs[0], soft)
    value, direction = distance.value_and_gradient({name: tensor.detach() for name, tensor in update.items()}, shared)
    gradients = pull_back(list(update.values()), inputs, list(direction.values()))
    return Match(value, gradients[0], gradients[1] if len(gradients) == 2 else None)
