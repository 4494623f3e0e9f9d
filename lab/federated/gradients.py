"""Pure functions around the parameter gradient g(x) and its mixed derivative d/dx <g(x), v>."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.lazy import Tensor, torch

from lab.errors import LabError
from lab.federated.linear_steps import LinearSteps, linear_steps
from lab.federated.local_optimisers.base import LocalOptimiser
from lab.federated.local_optimisers.sgd import LocalSGD
from lab.federated.losses.base import Loss
from lab.federated.losses.cross_entropy import CrossEntropy
from lab.federated.tensors import Gradients, Inputs, Targets

if TYPE_CHECKING:
    from torch import nn


UpdateRule = Callable[[Inputs, Targets], Gradients]
"""What a client would send for these inputs, differentiable in them."""


MEAN_CROSS_ENTROPY = CrossEntropy()


def parameter_gradient(
    model: nn.Module, inputs: Inputs, targets: Targets, loss: Loss = MEAN_CROSS_ENTROPY, *, differentiable: bool = False
) -> Gradients:
    """dL/dtheta of the batch; with ``differentiable`` it stays in the graph of the inputs."""
    weights = trainable(model)
    return gradient_wrt(loss.value(model(inputs), targets), weights, differentiable=differentiable)


def trainable(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that a client trains, by name. Raises ``LabError`` where there are none."""
    found: dict[str, Tensor] = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    if not found:
        raise LabError("Every parameter of this network is frozen, so a client has nothing to send; let some of them train.")
    return found


def gradient_wrt(value: Tensor, weights: Gradients, *, differentiable: bool = False) -> dict[str, Tensor]:
    """dvalue/dweights; zeros for a weight that takes no part, as its client sends them."""
    found = torch.autograd.grad(value, list(weights.values()), create_graph=differentiable, materialize_grads=True)
    return dict(zip(weights, found, strict=True))


@dataclass(frozen=True, eq=False)
class LocalSteps:
    """How an update comes about; where steps are plain, -rate times the sum of the gradients met along the way.

    The gradient itself is one step at rate -1.
    """

    rows: tuple[Tensor | None, ...]
    """The inputs of each step, shape (inputs,); None takes the whole batch."""
    rate: float
    optimiser: LocalOptimiser = LocalSGD()
    """What makes a step of a gradient."""
    loss: Loss = MEAN_CROSS_ENTROPY
    """What the gradients are of."""

    def length(self, pictures: int) -> float:
        """How long a step's gradient is beside that of so many pictures at once: 1, unless a sum is over a part of them."""
        first = self.rows[0]
        return 1.0 if first is None else self.loss.length(len(first)) / self.loss.length(pictures)

    def as_sum(self) -> LinearSteps:
        """All steps as one sum of gradients and weights; of an optimiser that is linear."""
        return linear_steps(self.optimiser, self.rate, len(self.rows))


def pull_back(outputs: list[Tensor], inputs: list[Tensor], cotangents: list[Tensor]) -> tuple[Tensor, ...]:
    """d/d(inputs) of <outputs, cotangents>: one vector-Jacobian product.

    Written as the gradient of a scalar, because torch imports sympy (3 seconds) as soon as
    ``autograd.grad`` is given cotangents.
    """
    products = [(output * cotangent).sum() for output, cotangent in zip(outputs, cotangents, strict=True)]
    return torch.autograd.grad(torch.stack(products).sum(), inputs)
