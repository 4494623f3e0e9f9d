"""Federated averaging (McMahan et al. 2017): the client trains, then sends how its weights changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lab.late import Tensor, nn, torch

from lab.federated.gradients import LocalSteps, loss, slopes, trainable
from lab.federated.inputs import rows as rows_of
from lab.federated.protocols.base import Protocol
from lab.federated.tensors import Gradients, Inputs, Targets
from lab.options.fields import Bounds, Help


@dataclass(frozen=True)
class FedAvg(Protocol):
    """The client takes local SGD steps and sends the change of its weights (Geiping et al. 2020, section 6).

    Step k trains on pictures k B to (k + 1) B of the batch, starting over at its end, so
    E epochs over n pictures are ``local_steps`` = E n / B.
    """

    local_steps: Annotated[int, Bounds(1, 1000), Help("SGD steps before sending", "steps")] = 4
    batch_size: Annotated[int, Bounds(0, 100), Help("pictures in each local step; 0 takes the whole batch", "pictures")] = 0
    learning_rate: Annotated[float, Bounds(1e-6, 1.0, log=True), Help("the client's step size tau")] = 1e-4

    def update(self, model: nn.Module, inputs: Inputs, targets: Targets, *, differentiable: bool = False) -> Gradients:
        """theta_E - theta_0, by SGD theta <- theta - tau dL/dtheta."""
        run = self._unrolled if differentiable else self._trained
        return run(model, inputs, targets)

    def _unrolled(self, model: nn.Module, inputs: Inputs, targets: Targets) -> Gradients:
        """All steps in one graph."""
        start = trainable(model)
        weights = start
        for step in range(self.local_steps):
            rows = self._rows(step, len(targets)).to(targets.device)
            value = loss(torch.func.functional_call(model, weights, (rows_of(inputs, rows),)), targets[rows])
            found = slopes(value, weights, differentiable=True)
            weights = {name: weight - self.learning_rate * found[name] for name, weight in weights.items()}
        return {name: weights[name] - start[name] for name in start}

    def _trained(self, model: nn.Module, inputs: Inputs, targets: Targets) -> Gradients:
        """Step by step on weights of its own, so that memory holds them and one gradient."""
        start = {name: tensor.detach() for name, tensor in trainable(model).items()}
        weights = {name: tensor.clone() for name, tensor in start.items()}
        for step in range(self.local_steps):
            rows = self._rows(step, len(targets)).to(targets.device)
            self._descend(model, weights, rows_of(inputs, rows), targets[rows])
        return {name: tensor.sub_(start[name]) for name, tensor in weights.items()}

    def _descend(self, model: nn.Module, weights: dict[str, Tensor], inputs: Inputs, targets: Targets) -> None:
        """Move the weights by one step."""
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in weights.items()}
        for name, slope in slopes(loss(torch.func.functional_call(model, leaves, (inputs,)), targets), leaves).items():
            weights[name].sub_(slope, alpha=self.learning_rate)

    def steps(self, pictures: int) -> LocalSteps:
        """``local_steps`` steps at the client's rate."""
        rows = [self._rows(step, pictures) for step in range(self.local_steps)]
        return LocalSteps(tuple(None if len(chosen) == pictures else chosen for chosen in rows), self.learning_rate)

    def mean_gradient(self, update: Gradients) -> Gradients:
        """-change / (tau E): exact for one step, an average along the way for more."""
        return {name: -tensor / (self.learning_rate * self.local_steps) for name, tensor in update.items()}

    def _rows(self, step: int, pictures: int) -> Tensor:
        size = min(self.batch_size or pictures, pictures)
        return (torch.arange(size) + step * size) % pictures
