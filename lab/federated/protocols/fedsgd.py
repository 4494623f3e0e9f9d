"""Federated SGD: the client sends the gradient of its batch."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import nn

from lab.federated.gradient_rules import GradientRule
from lab.federated.gradients import LocalSteps, parameter_gradient, trainable
from lab.federated.number_formats import NumberFormat
from lab.federated.protocols.base import Protocol
from lab.federated.tensors import Gradients, Inputs, Targets


@dataclass(frozen=True)
class FedSGD(Protocol):
    """The client sends the gradient of its loss, after no local step."""

    def update(self, model: nn.Module, inputs: Inputs, targets: Targets, *, differentiable: bool = False) -> Gradients:
        """G = dL/dtheta of the batch."""
        if self.computes_in is not NumberFormat.SINGLE and not differentiable:
            return self.trained(model, inputs, targets, self.rule)
        return parameter_gradient(model, inputs, targets, self.loss, differentiable=differentiable)

    def trained(self, model: nn.Module, inputs: Inputs, targets: Targets, rule: GradientRule) -> Gradients:
        """The rule's gradient of the whole batch."""
        return rule.gradient(model, trainable(model), inputs, targets)

    def steps(self, pictures: int) -> LocalSteps:
        """One gradient of the whole batch."""
        return LocalSteps((None,), -1.0, loss=self.loss)

    def mean_gradient(self, update: Gradients, weights: Gradients) -> Gradients:
        """The update is the gradient."""
        return update
