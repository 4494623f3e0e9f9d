"""Local steps as a single one: taken in the middle of the client's way, and corrected by simulating now and then."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from lab.lazy import nn, no_grad, torch

from lab.attacks.closed_form.mismatch import fitted
from lab.federated.gradients import LocalSteps, parameter_gradient
from lab.federated.linear_steps import LinearSteps
from lab.federated.observation import Observation
from lab.federated.protocols.base import Protocol
from lab.federated.rounding import rounding
from lab.federated.tensors import Gradients, Inputs, Targets
from lab.federated.updates import length
from lab.options.fields import Help
from lab.options.words import percent

if TYPE_CHECKING:
    from lab.federated.classifier import Classifier

CORRECTIONS = 20
"""So often, spread over a budget, the single step is corrected; more bring nothing (small ConvNet, rates 1e-3 to 1e-1)."""
STEPS_PER_ITERATION = 2
"""Training steps that one costs. A correction costs one for each local step, and comes so rarely that all cost no more."""
ROUNDING_TOLERANCE = 1e-3
"""Where rounding the client's weights falsifies the update by more than this share, its steps are too small for bends."""

LARGE_RESIDUAL = 0.2
"""A candidate whose simulated update misses the shared one by more, relative to it, was led astray by the bends."""


@dataclass(frozen=True, eq=False)
class Correction:
    """What a candidate's simulated local steps tell of the bends of the way."""

    shared: Gradients | None
    """What a single step has to match for the simulated ones to match what was shared. None where these explain nothing of
    it: such a candidate tells of bends that are not there."""
    residual: float
    """By how much the candidate's simulated update misses the shared one, relative to it."""


class Surrogate(ABC):
    """Base of what stands for a client's local steps while a picture is sought: cheap, and simulated truly now and then."""

    def __init__(self, client: Observation, *, is_curved: bool) -> None:
        self.client = client
        self.steps = client.protocol.steps(client.batch_size)
        self.spacing = -(-len(self.steps.rows) // STEPS_PER_ITERATION)
        self.is_curved = is_curved
        """Whether the stand-in's update is not the candidate's own."""

    def is_due(self, iteration: int, iterations: int) -> bool:
        """Whether a correction is worth its while now."""
        return self.is_curved and iteration > 0 and iteration % max(self.spacing, iterations // CORRECTIONS) == 0

    @abstractmethod
    def correction(self, inputs: Inputs, targets: Targets) -> Correction:
        """What simulating this candidate's steps tells."""

    def simulated(self, inputs: Inputs, targets: Targets) -> tuple[Gradients, float, float]:
        """What this candidate's own steps miss of the shared update, at what length of theirs, and how much it is of that."""
        shared = self.client.update
        simulated = self.client.protocol.update(self.client.network, inputs, targets)
        factor = fitted(simulated, shared).factor
        difference = _difference(shared, simulated, factor)
        return difference, factor, float(length(difference) / length(shared))

    def residual(self, inputs: Inputs, targets: Targets) -> float:
        """By how much this candidate's simulated update misses the shared one, relative to it."""
        return self.simulated(inputs, targets)[2]

    def note(self, residual: float) -> str:
        """What else to try where the last candidate left so much of the shared update; empty where it came near."""
        if residual <= LARGE_RESIDUAL:
            return ""
        return (
            f"This picture's own {self.client.local_steps} local steps miss the shared update by "
            f"{residual_in_words(residual)}; simulating each of them (local_steps = simulated) takes longer and gets closer if "
            "these are the client's, not if it steps in another way (its optimiser: momentum, Adam)."
        )


def residual_in_words(residual: float) -> str:
    """How much of the shared update that is."""
    return "more than all of it" if residual > 1 else percent(residual)


class LongStepSurrogate(Surrogate):
    """One step, as long as all together, in place of a client's K local steps; for optimisers that sum gradients.

    The weights change by -sum_k c_k g_k, c_k = tau for plain steps, beside what weight decay takes of the known weights. On
    a straight and even way that is the gradient at the mean place theta_0 + (K - 1) / (2 K) (theta_K - theta_0), to second
    order in tau, or at the mean that the c_k weigh, and the server knows both ends (the surrogate model of Zhu, Yao and
    Blaschko 2023, who search for the place). So no step needs to be simulated or differentiated (Geiping et al. 2020,
    section 6, do both) to match an update.

    Where the way bends, the candidate's own update is simulated from time to time. What it differs by from that of the
    single step is taken off the shared update, and what is left is matched by single steps: the truth stays a fixed point.
    """

    def __init__(self, client: Observation) -> None:
        steps = client.protocol.steps(client.batch_size)
        super().__init__(client, is_curved=len(steps.rows) > 1 and rounding(client) <= ROUNDING_TOLERANCE)
        total, weights = steps.as_sum(), dict(client.network.named_parameters())
        update = {name: total.without_decay(name, tensor, weights) for name, tensor in client.update.items()}
        self.long_step = LongStep(rate=total.length * steps.length(client.batch_size), loss=steps.loss)
        self.observation = replace(
            client, network=_moved_network(client.network, update, total), protocol=self.long_step, update=update
        )
        """As if the client had taken a single step there."""

    def correction(self, inputs: Inputs, targets: Targets) -> Correction:
        """What simulating this candidate's steps tells."""
        difference, factor, residual = self.simulated(inputs, targets)
        return Correction(self._plus_single_step(difference, inputs, targets, factor) if residual < 1 else None, residual)

    def _plus_single_step(self, difference: Gradients, inputs: Inputs, targets: Targets, factor: float) -> Gradients:
        """What the candidate's single step sends, ``factor`` times, and what its simulated ones miss; written over that."""
        gradient = parameter_gradient(self.observation.network, inputs, targets, self.steps.loss)
        for name, tensor in difference.items():
            tensor.add_(gradient[name], alpha=-self.long_step.rate * factor)
        return difference


@dataclass(frozen=True)
class LongStep(Protocol):
    """One step on the whole batch, of any length: what no client chooses, but all of a client's steps come to."""

    rate: Annotated[float, Help("the length of the step")]

    def update(self, model: nn.Module, inputs: Inputs, targets: Targets, *, differentiable: bool = False) -> Gradients:
        """-rate dL/dtheta."""
        gradient = parameter_gradient(model, inputs, targets, self.loss, differentiable=differentiable)
        return {name: -self.rate * tensor for name, tensor in gradient.items()}

    def steps(self, pictures: int) -> LocalSteps:
        """The one."""
        return LocalSteps((None,), self.rate, loss=self.loss)

    def mean_gradient(self, update: Gradients, weights: Gradients) -> Gradients:
        """The gradient itself."""
        return {name: -tensor / self.rate for name, tensor in update.items()}


@no_grad
def _moved_network(network: Classifier, change: Gradients, steps: LinearSteps) -> Classifier:
    """A copy whose weights stand where the mean gradient was, as far as gradients changed them by ``change``."""
    copy = deepcopy(network)
    weights = dict(copy.named_parameters())
    for name, tensor in change.items():
        weights[name].mul_(1 + steps.shrinkage).add_(tensor, alpha=steps.place)
    return copy


def _difference(one: Gradients, other: Gradients, factor: float) -> Gradients:
    """One - factor * other, written over the other."""
    return {name: torch.sub(tensor, other[name], alpha=factor, out=other[name]) for name, tensor in one.items()}
