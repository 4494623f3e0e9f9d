"""Federated averaging (McMahan et al. 2017): the client trains, then sends how its weights changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, cast

from lab.lazy import Tensor, nn, torch

from lab.errors import LabError
from lab.federated.gradient_rules import GradientRule
from lab.federated.gradients import LocalSteps, gradient_wrt, trainable
from lab.federated.inputs import rows as rows_of
from lab.federated.linear_steps import LinearSteps, linear_steps
from lab.federated.local_optimisers.base import LocalOptimiser, Memory
from lab.federated.local_optimisers.sgd import LocalSGD
from lab.federated.protocols.base import Protocol
from lab.federated.tensors import Gradients, Inputs, Targets
from lab.options.catalogue import entries
from lab.options.fields import Bounds, Help

NO_SUM = (
    "{name} divides each gradient by its own size, so its steps tell signs and no mean gradient: labels of several pictures "
    "cannot be counted, nor inputs read off. Let the server know the labels, and match gradients."
)


@dataclass(frozen=True)
class FedAvg(Protocol):
    """The client takes local steps and sends the change of its weights (Geiping et al. 2020, section 6).

    Step k trains on pictures k B to (k + 1) B of the batch, starting over at its end, so
    E epochs over n pictures are ``local_steps`` = E n / B.
    """

    sends_change: ClassVar[bool] = True

    local_steps: Annotated[int, Bounds(1, 1000), Help("SGD steps before sending", "steps")] = 4
    batch_size: Annotated[int, Bounds(0, 100), Help("pictures in each local step; 0 takes the whole batch", "pictures")] = 0
    learning_rate: Annotated[float, Bounds(1e-6, 1.0, log=True), Help("the client's step size tau")] = 1e-4
    optimiser: Annotated[LocalOptimiser, Help("how a local step follows from its gradient")] = LocalSGD()

    optimiser_told: Annotated[bool, Help("whether the server knows the optimiser; if not, it tries the usual ones")] = True

    def update(self, model: nn.Module, inputs: Inputs, targets: Targets, *, differentiable: bool = False) -> Gradients:
        """theta_E - theta_0, by theta <- theta - tau d with the optimiser's directions d."""
        if differentiable:
            return self._unrolled(model, inputs, targets)
        return self.trained(model, inputs, targets, self.rule)

    def _unrolled(self, model: nn.Module, inputs: Inputs, targets: Targets) -> Gradients:
        """All steps in one graph."""
        start = trainable(model)
        weights, memories = start, dict[str, Memory]()
        for step in range(self.local_steps):
            rows = self._rows(step, len(targets)).to(targets.device)
            value = self.loss.value(torch.func.functional_call(model, weights, (rows_of(inputs, rows),)), targets[rows])
            found = gradient_wrt(value, weights, differentiable=True)
            moves = self._directions(step, weights, found, memories)
            weights = {name: weights[name] - self.learning_rate * direction for name, direction in moves}
        return {name: weights[name] - start[name] for name in start}

    def trained(self, model: nn.Module, inputs: Inputs, targets: Targets, rule: GradientRule) -> Gradients:
        """The update, step by step on weights of its own: memory holds them, one gradient and what the optimiser remembers."""
        start = {name: tensor.detach() for name, tensor in trainable(model).items()}
        weights, memories = {name: tensor.clone() for name, tensor in start.items()}, dict[str, Memory]()
        for step in range(self.local_steps):
            rows = self._rows(step, len(targets)).to(targets.device)
            found = rule.gradient(model, weights, rows_of(inputs, rows), targets[rows])
            for name, direction in self._directions(step, weights, found, memories):
                weights[name].sub_(direction, alpha=self.learning_rate)
        return {name: tensor.sub_(start[name]) for name, tensor in weights.items()}

    def _directions(
        self, step: int, weights: Gradients, found: dict[str, Tensor], memories: dict[str, Memory]
    ) -> Iterator[tuple[str, Tensor]]:
        """Where each tensor goes, one after another; the gradients found are forgotten on the way, the memories renewed."""
        for name, weight in weights.items():
            direction, memories[name] = self.optimiser.direction(step, weight, found.pop(name), memories.get(name, ()))
            yield name, direction

    def steps(self, pictures: int) -> LocalSteps:
        """``local_steps`` steps at the client's rate."""
        rows = [self._rows(step, pictures) for step in range(self.local_steps)]
        chosen = tuple(None if len(each) == pictures else each for each in rows)
        return LocalSteps(chosen, self.learning_rate, self.optimiser, self.loss)

    def server_view(self) -> FedAvg:
        """The protocol without an optimiser that the server is not told."""
        told = cast("FedAvg", super().server_view())
        return told if self.optimiser_told else replace(told, optimiser=LocalSGD())

    def guesses(self) -> tuple[Protocol, ...]:
        """The protocol with each usual optimiser, where none was told."""
        if self.optimiser_told:
            return (self,)
        kinds = [cast("type[LocalOptimiser]", entry) for entry in entries(LocalOptimiser.kind).values()]
        usual = [optimiser for kind in kinds for optimiser in kind.usual()]
        return tuple(replace(self, optimiser=optimiser, optimiser_told=True) for optimiser in usual)

    @property
    def is_linear(self) -> bool:
        """Whether the optimiser's directions are sums of gradients."""
        return self.optimiser.is_linear

    def as_sum(self) -> LinearSteps:
        """All steps as one sum of gradients and weights. Raises ``LabError`` for an optimiser that divides by what it meets."""
        if not self.is_linear:
            raise LabError(NO_SUM.format(name=self.optimiser.name.capitalize()))
        return linear_steps(self.optimiser, self.learning_rate, self.local_steps)

    def mean_gradient(self, update: Gradients, weights: Gradients) -> Gradients:
        """The mean of the gradients on the way, each by how much of it was stepped: exact for one step."""
        return self.as_sum().mean_gradient(update, weights)

    def _rows(self, step: int, pictures: int) -> Tensor:
        size = min(self.batch_size or pictures, pictures)
        return (torch.arange(size) + step * size) % pictures
