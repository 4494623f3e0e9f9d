"""The mixed derivative at the floor: a finite difference with the activation pattern frozen."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.attacks.derivative.frozen_network import Freezable
from lab.attacks.derivative.matcher import Match, matched
from lab.attacks.derivative.weight_shift import BlendShift, PlainShift, Shift
from lab.attacks.matching.distances.base import Distance
from lab.federated.gradients import LocalSteps, trainable
from lab.federated.inputs import as_mapping, tree_map
from lab.federated.inputs import rows as rows_of
from lab.federated.tensors import Gradients, Inputs, Targets
from lab.federated.updates import length

STEP_RATIO = 10
"""By how much the length of a step may miss the good one, either way, before it is tried again."""
RETRIES = 3
CONSTANT_CURVATURE = 1e-3
"""Up to this share of its length the cotangent may bend along all local steps for one step's curvature to serve them all."""


@dataclass(frozen=True, eq=False)
class _Inputs:
    """What the client computes with; what needs a gradient of it are the leaves."""

    inputs: Inputs
    targets: Targets

    @classmethod
    def free(cls, inputs: Inputs, targets: Targets) -> _Inputs:
        """Outside any graph, and the start of one where they are no whole numbers."""
        return cls(tree_map(_freed, inputs), _freed(targets))

    @property
    def leaves(self) -> list[Tensor]:
        return [tensor for tensor in (*as_mapping(self.inputs).values(), self.targets) if tensor.requires_grad]


@dataclass(frozen=True, eq=False)
class _RecordedStep:
    """One local step as the first sweep left it."""

    rows: Tensor | None
    weight_gradient: dict[str, Tensor]
    """dL/dtheta there."""
    input_gradient: tuple[Tensor, ...]
    """dL/dx (and dL/dtargets) there."""
    decisions: deque[Tensor]


class FrozenMatcher:
    """d/dx D(update(x), shared) for 5/3 of a training step instead of the 7/3 of double backward.

    The first pass gives g = dL/dtheta and dL/dx. The second, at theta + h v with v = dD/dg and
    the first one's kinks, gives dL/dx alone; their difference over h is d/dx <g(x), v>. Through
    local steps theta_k+1 = theta_k - tau g_k the same pass carries the cotangent down,
    lambda_k = lambda_k+1 - tau H_k lambda_k+1, so each costs two training steps; of the weights
    along the way only one set is kept, walked up and down again. Where tau H hardly bends the
    cotangent, as at the paper's rate of 1e-4, the last step's H serves all: 5/3 and a third more.

    h is such that dL/dx changes by a share of about 1e-3 in float32: below, rounding spoils the
    difference, above, curvature does. What one call saw sets the h of the next.
    """

    def __init__(
        self, network: nn.Module, steps: LocalSteps, distance: Distance, shared: Gradients, *, lean: bool = False
    ) -> None:
        """A ``lean`` one keeps its tape short: less memory, a little more time; several local steps always do."""
        self.model = Freezable(network)
        self.steps = steps
        self.initial_weights = trainable(network)
        self.model.tape.brief = lean or len(steps.rows) > 1
        self.distance = distance
        self._set_shared(shared)
        self.buffers = {} if self.blender else _buffers_like(self.initial_weights)
        self.local_weights = _buffers_like(self.initial_weights) if len(steps.rows) > 1 else {}
        self.relative_change = 3 * torch.finfo(next(iter(shared.values())).dtype).eps ** 0.5
        with torch.no_grad():
            self.step_lengths = [self.relative_change * float(length(self.initial_weights))] * len(steps.rows)

    def _set_shared(self, shared: Gradients) -> None:
        self.value_and_gradient = self.distance.against(shared)
        self.blender = self.distance.blender(shared) if len(self.steps.rows) == 1 else None
        self.shared = shared

    def towards(self, shared: Gradients) -> FrozenMatcher:
        """The same, of another shared update, and with what was learnt of h."""
        other = copy(self)
        other._set_shared(shared)
        return other

    def __call__(self, candidate: Inputs, targets: Targets) -> Match:
        """The distance and its gradients, each to about four digits in float32 and eight in float64."""
        inputs = _Inputs.free(candidate, targets)
        recorded = self._record(inputs)
        update = _scaled_sum(recorded, -self.steps.rate)
        self.model.tape.replaying = True
        if self.blender is not None:
            value, blend = self.blender(update)
            shift = BlendShift(self.initial_weights, self.shared, update, blend, lambda: self._update_again(inputs))
            input_gradient, _ = self._step_gradients(0, recorded[0], inputs, shift, with_curvature=False)
        else:
            value, direction = self.value_and_gradient(update)
            update.clear()
            nowhere = [torch.zeros_like(leaf) for leaf in inputs.leaves]
            input_gradient = self._backpropagate(recorded, inputs, direction) if value.isfinite() else nowhere
        self.model.use(self.initial_weights)  # the last weights are as large as the network, and nobody needs them now
        return matched(value, candidate, input_gradient)

    def _record(self, inputs: _Inputs) -> list[_RecordedStep]:
        """The client's steps, with the gradient of the leaves and the kinks of each."""
        recorded: list[_RecordedStep] = []
        weights: Gradients = self.initial_weights
        self.model.tape.replaying = False
        for rows in self.steps.rows:
            if recorded:
                weights = self._step_weights(weights, recorded[-1].weight_gradient, -self.steps.rate)
            self.model.tape.decisions = deque()
            wanted = [*weights.values(), *inputs.leaves]
            found = torch.autograd.grad(self._loss(weights, inputs, rows), wanted, materialize_grads=True)
            weight_gradient = dict(zip(weights, found, strict=False))
            recorded.append(_RecordedStep(rows, weight_gradient, found[len(weight_gradient) :], self.model.tape.decisions))
        return recorded

    def _update_again(self, inputs: _Inputs) -> Gradients:
        """The update of one step, from a pass that decides afresh as the first one did."""
        update = _scaled_sum(self._record(inputs), -self.steps.rate)
        self.model.tape.replaying = True
        return update

    def _backpropagate(self, recorded: list[_RecordedStep], inputs: _Inputs, direction: Gradients) -> list[Tensor]:
        """dD/dleaves, from the last step to the first, each forgotten as soon as it is undone.

        ``direction`` is the cotangent of the weights after each.
        """
        totals = [torch.zeros_like(leaf) for leaf in inputs.leaves]
        common_curvature: Gradients = {}
        for index in reversed(range(len(recorded))):
            common_curvature = self._backpropagate_step(index, recorded.pop(), inputs, direction, totals, common_curvature)
            if index > 1:
                self._step_weights(self.local_weights, recorded[-1].weight_gradient, self.steps.rate)
        return totals

    def _backpropagate_step(
        self,
        index: int,
        step: _RecordedStep,
        inputs: _Inputs,
        direction: Gradients,
        totals: list[Tensor],
        common_curvature: Gradients,
    ) -> Gradients:
        """Pull ``direction`` back through one step; its product with the Hessian there, where the steps before share it."""
        shift = PlainShift(self.local_weights if index else self.initial_weights, direction, self.buffers)
        found, own_curvature = self._step_gradients(
            index, step, inputs, shift, with_curvature=index > 0 and not common_curvature
        )
        for total, part in zip(totals, found, strict=True):
            total.add_(part)
        if not index:
            return {}
        curvature = common_curvature or own_curvature
        for name, tensor in direction.items():
            tensor.add_(curvature[name])
        return curvature if common_curvature or index * float(length(curvature)) <= CONSTANT_CURVATURE * shift.length else {}

    def _step_gradients(
        self, index: int, step: _RecordedStep, inputs: _Inputs, shift: Shift, *, with_curvature: bool
    ) -> tuple[list[Tensor], Gradients]:
        """What the step adds to dD/dleaves and, with ``with_curvature``, to the cotangent of the weights before it."""
        found, h = self._shifted_gradients(index, step, inputs, shift, with_curvature=with_curvature)
        factor = -self.steps.rate / h
        differences = [after.sub_(before).mul_(factor) for after, before in zip(found, step.input_gradient, strict=False)]
        curvature = zip(step.weight_gradient.items(), found[len(differences) :], strict=False)
        return differences, {name: after.sub_(before).mul_(factor) for (name, before), after in curvature}

    def _shifted_gradients(
        self, index: int, step: _RecordedStep, inputs: _Inputs, shift: Shift, *, with_curvature: bool
    ) -> tuple[tuple[Tensor, ...], float]:
        """The gradients at theta + h v with the step's kinks, and h; tried again where h was far from a good one."""
        left = RETRIES
        while True:
            h = self.step_lengths[index] / shift.length
            found = self._gradients_at(h, step, inputs, shift, with_curvature=with_curvature)
            correction = self._correction(found, step.input_gradient, len(as_mapping(inputs.inputs)))
            self.step_lengths[index] *= correction
            if not left or 1 / STEP_RATIO < correction < STEP_RATIO:
                return found, h
            left -= 1
            del found  # the next try asks for as much memory

    def _gradients_at(
        self, h: float, step: _RecordedStep, inputs: _Inputs, shift: Shift, *, with_curvature: bool
    ) -> tuple[Tensor, ...]:
        """The gradients of the leaves and, with ``with_curvature``, of the weights."""
        shifted = shift.by(h)
        weights = _as_leaves(shifted) if with_curvature else shifted
        self.model.tape.decisions = deque(step.decisions)
        wanted = [*inputs.leaves, *weights.values()] if with_curvature else inputs.leaves
        return torch.autograd.grad(self._loss(weights, inputs, step.rows), wanted, materialize_grads=True)

    def _correction(self, after: Sequence[Tensor], before: Sequence[Tensor], count: int) -> float:
        """By what to lengthen the step for dL/dx to change by the wanted share; 1 where it does not change at all.

        x is the first ``count`` of these tensors.
        """
        changes = [new - old for new, old in zip(after[:count], before[:count], strict=True)]
        relative_change = float(_norm(changes) / _norm(before[:count]))
        return self.relative_change / relative_change if 0 < relative_change < float("inf") else 1.0

    @torch.no_grad()
    def _step_weights(self, weights: Gradients, weight_gradient: Gradients, rate: float) -> Gradients:
        """The local weights, written over the present ones: the given ones + rate * gradient."""
        for name, tensor in weights.items():
            torch.add(tensor, weight_gradient[name], alpha=rate, out=self.local_weights[name])
        return _as_leaves(self.local_weights)

    def _loss(self, weights: Gradients, inputs: _Inputs, rows: Tensor | None) -> Tensor:
        taken, targets = (
            (inputs.inputs, inputs.targets) if rows is None else (rows_of(inputs.inputs, rows), inputs.targets[rows])
        )
        self.model.use(weights)
        return self.steps.loss.value(self.model(taken), targets)


def _freed(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_(tensor.is_floating_point())


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    """Over all of them together."""
    return tensors[0].norm() if len(tensors) == 1 else torch.stack([tensor.norm() for tensor in tensors]).norm()


def _buffers_like(weights: Gradients) -> Gradients:
    return {name: torch.empty_like(tensor) for name, tensor in weights.items()}


def _as_leaves(weights: Gradients) -> Gradients:
    return {name: tensor.detach().requires_grad_() for name, tensor in weights.items()}


def _scaled_sum(recorded: list[_RecordedStep], rate: float) -> dict[str, Tensor]:
    """Rate * (g_0 + g_1 + ...): the update, without the rounding of weights subtracted from weights.

    The first step's gradient, which nothing else needs, becomes the sum: who empties it has given their memory back.
    """
    total = recorded[0].weight_gradient
    for step in recorded[1:]:
        for name, tensor in step.weight_gradient.items():
            total[name].add_(tensor)
    if rate != 1:
        for tensor in total.values():
            tensor.mul_(rate)
    return total
