"""The mixed derivative that every matching step needs: d/dx <g(x), v> (Geiping et al. 2020, equation 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from lab.lazy import Tensor

from lab.federated.attention import PlainAttention
from lab.federated.gradients import UpdateRule, pull_back
from lab.federated.inputs import as_in, as_mapping, tree_map
from lab.federated.second_derivatives import second_derivatives
from lab.federated.tensors import Gradients, Inputs, Targets

if TYPE_CHECKING:
    from lab.attacks.matching.distances.base import Distance


@dataclass(frozen=True, eq=False)
class Match:
    """How well a candidate matches: the distance and its gradient with respect to each input."""

    distance: Tensor
    input_gradient: Inputs
    target_gradient: Tensor | None


@runtime_checkable
class Matcher(Protocol):
    """How well inputs and targets match what was shared."""

    def __call__(self, candidate: Inputs, targets: Targets) -> Match:
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

    def __call__(self, candidate: Inputs, targets: Targets) -> Match:
        """The distance and its exact gradients."""
        return match(self.rule, candidate, targets, self.distance, self.shared)

    def towards(self, shared: Gradients) -> ExactMatcher:
        """The same, of another shared update."""
        return replace(self, shared=shared)


def match(rule: UpdateRule, inputs: Inputs, targets: Targets, distance: Distance, shared: Gradients) -> Match:
    """D(g(x), g*) and dD/dx = d/dx <g(x), v> with v = dD/dg (Geiping et al. 2020, equation 4).

    v is taken at the detached gradient first, so that the second backward pass is one
    vector-Jacobian product towards the inputs alone.
    """
    free, soft = tree_map(_free, inputs), _free(targets) if targets.is_floating_point() else targets
    leaves = [*as_mapping(free).values(), *([soft] if soft.requires_grad else [])]
    with PlainAttention():
        update = rule(free, soft)
    value, direction = distance.value_and_gradient({name: tensor.detach() for name, tensor in update.items()}, shared)
    with second_derivatives():
        gradients = pull_back(list(update.values()), leaves, list(direction.values()))
    return matched(value, inputs, gradients)


def matched(value: Tensor, inputs: Inputs, gradients: Sequence[Tensor]) -> Match:
    """A match from the gradient of each tensor of the inputs, then that of the targets, where these are free."""
    names = list(as_mapping(inputs))
    soft = gradients[len(names)] if len(gradients) > len(names) else None
    return Match(value, as_in(inputs, dict(zip(names, gradients, strict=False))), soft)


def _free(tensor: Tensor) -> Tensor:
    """The start of a graph of its own."""
    return tensor.detach().requires_grad_()
