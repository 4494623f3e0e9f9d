"""How a client takes a gradient at some weights: plainly, or changed by a defence; of a batch, or of each input alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from lab.lazy import Tensor, torch

from lab.federated.gradients import gradient_wrt
from lab.federated.inputs import rows, tree_map
from lab.federated.tensors import Gradients, Inputs, Targets

if TYPE_CHECKING:
    from torch import nn

    from lab.federated.losses.base import Loss


class GradientRule(ABC):
    """What stands for dL/dtheta in every step of a client."""

    @abstractmethod
    def gradient(self, model: nn.Module, weights: Gradients, inputs: Inputs, targets: Targets) -> dict[str, Tensor]:
        """At these weights, for the inputs of one step; outside any graph."""

    @abstractmethod
    def length(self, count: int) -> float:
        """How many times as long as the mean over so many inputs it is."""

    def each(self, model: nn.Module, weights: Gradients, inputs: Inputs, targets: Targets) -> dict[str, Tensor]:
        """The same of each input as if it were alone: tensors of shape (inputs, ...)."""
        places = [slice(place, place + 1) for place in range(len(targets))]
        found = [self.gradient(model, weights, rows(inputs, place), targets[place]) for place in places]
        return {name: torch.stack([one[name] for one in found]) for name in weights}


class ChangedRule(GradientRule):
    """Base of what a defence makes of another rule, by chance."""

    def __init__(self, rule: GradientRule, generator: torch.Generator) -> None:
        self.rule, self.generator = rule, generator

    def length(self, count: int) -> float:
        """As the other's."""
        return self.rule.length(count)


class PlainGradient(GradientRule):
    """The gradient of the loss itself."""

    def __init__(self, loss: Loss) -> None:
        self.loss = loss

    def length(self, count: int) -> float:
        """The loss says whether it is a mean."""
        return self.loss.length(count)

    def gradient(self, model: nn.Module, weights: Gradients, inputs: Inputs, targets: Targets) -> dict[str, Tensor]:
        """By one backward pass."""
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in weights.items()}
        return self.backward(lambda: self.loss.value(self.logits(model, leaves, inputs), targets), leaves)

    def each(self, model: nn.Module, weights: Gradients, inputs: Inputs, targets: Targets) -> dict[str, Tensor]:
        """By one backward pass, too, in which each input has weights of its own."""
        own = {name: tensor.detach().expand(len(targets), *tensor.shape).requires_grad_() for name, tensor in weights.items()}

        def alone(leaves: dict[str, Tensor], one: Inputs, target: Tensor) -> Tensor:
            batch = tree_map(lambda tensor: tensor.unsqueeze(0), one)
            return self.loss.value(self.logits(model, leaves, batch), target.unsqueeze(0))

        return self.backward(lambda: torch.vmap(alone)(own, inputs, targets).sum(), own)

    def logits(self, model: nn.Module, weights: dict[str, Tensor], inputs: Inputs) -> Tensor:
        """The network's, at these weights."""
        return torch.func.functional_call(model, weights, (inputs,))

    def backward(self, value: Callable[[], Tensor], weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """dvalue/dweights."""
        return gradient_wrt(value(), weights)
