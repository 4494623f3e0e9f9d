"""Pure functions around the parameter gradient g(x) and its mixed derivative d/dx <g(x), v>."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from lab.types import Gradients, Images, Targets

if TYPE_CHECKING:
    from torch import nn

    from lab.distances.base import Distance

UpdateRule = Callable[[Images, Targets], Gradients]
"""What a client would send for these pictures, differentiable in them."""


def loss(logits: Tensor, targets: Targets) -> Tensor:
    """Mean cross entropy over the batch, from class numbers or class probabilities."""
    return functional.cross_entropy(logits, targets)


def parameter_gradient(model: nn.Module, images: Images, targets: Targets, *, differentiable: bool = False) -> Gradients:
    """dL/dtheta of the batch; with ``differentiable`` it stays in the graph of ``images``."""
    parameters = dict(model.named_parameters())
    value = loss(model(images), targets)
    gradients = torch.autograd.grad(value, list(parameters.values()), create_graph=differentiable)
    return dict(zip(parameters, gradients, strict=True))


@dataclass(frozen=True, eq=False)
class LocalSteps:
    """How an update comes about: -rate times the sum of the gradients met along the way.

    The gradient itself is one step at rate -1.
    """

    rows: tuple[Tensor | None, ...]
    """The pictures of each step, shape (pictures,); None takes the whole batch."""
    rate: float


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
    update = rule(inputs[0], soft)
    value, direction = distance.slope({name: tensor.detach() for name, tensor in update.items()}, shared)
    pulled = pull_back(list(update.values()), inputs, list(direction.values()))
    return Match(value, pulled[0], pulled[1] if len(pulled) == 2 else None)


def pull_back(outputs: list[Tensor], inputs: list[Tensor], cotangents: list[Tensor]) -> tuple[Tensor, ...]:
    """d/d(inputs) of <outputs, cotangents>: one vector-Jacobian product.

    Written as the gradient of a scalar, because torch imports sympy (3 seconds) as soon as
    ``autograd.grad`` is given cotangents.
    """
    products = [(output * cotangent).sum() for output, cotangent in zip(outputs, cotangents, strict=True)]
    return torch.autograd.grad(torch.stack(products).sum(), inputs)
