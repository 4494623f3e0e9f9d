"""The mixed derivative at the floor: a finite difference with the activation pattern frozen."""

from __future__ import annotations

from collections import deque
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.attacks.derivative.frozen_network import Freezable
from lab.attacks.derivative.matcher import Match
from lab.attacks.derivative.weight_shift import BlendShift, PlainShift, Shift
from lab.attacks.matching.distances.base import Distance
from lab.federated.gradients import LocalSteps, loss, trainable
from lab.federated.tensors import Gradients, Images, Targets
from lab.federated.updates import length

TOLERANCE = 10
"""By how much the length of a step may miss the good one, either way, before it is tried again."""
RETRIES = 3
STEADY = 1e-3
"""Up to this share of its length the cotangent may bend along all local steps for one step's curvature to serve them all."""


@dataclass(frozen=True, eq=False)
class _Inputs:
    """What the client computes with; what needs a gradient of it are the leaves."""

    images: Images
    targets: Targets

    @property
    def leaves(self) -> list[Tensor]:
        return [tensor for tensor in (self.images, self.targets) if tensor.requires_grad]


@dataclass(frozen=True, eq=False)
class _Passed:
    """One local step as the first sweep left it."""

    rows: Tensor | None
    slopes: dict[str, Tensor]
    """dL/dtheta there."""
    pulled: tuple[Tensor, ...]
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
        self.start = trainable(network)
        self.model.tape.brief = lean or len(steps.rows) > 1
        self.distance = distance
        self._aim(shared)
        self.places = {} if self.blender else _room(self.start)
        self.local = _room(self.start) if len(steps.rows) > 1 else {}
        self.share = 3 * torch.finfo(next(iter(shared.values())).dtype).eps ** 0.5
        with torch.no_grad():
            self.reach = [self.share * float(length(self.start))] * len(steps.rows)

    def _aim(self, shared: Gradients) -> None:
        self.slope = self.distance.against(shared)
        self.blender = self.distance.blender(shared) if len(self.steps.rows) == 1 else None
        self.shared = shared

    def towards(self, shared: Gradients) -> FrozenMatcher:
        """The same, of another shared update, and with what was learnt of h."""
        other = copy(self)
        other._aim(shared)
        return other

    def __call__(self, images: Images, targets: Targets) -> Match:
        """The distance and its gradients, each to about four digits in float32 and eight in float64."""
        inputs = _Inputs(*(tensor.detach().requires_grad_(tensor.is_floating_point()) for tensor in (images, targets)))
        passed = self._record(inputs)
        update = _scaled_sum(passed, -self.steps.rate)
        self.model.tape.replaying = True
        if self.blender is not None:
            value, blend = self.blender(update)
            shift = BlendShift(self.start, self.shared, update, blend, lambda: self._update_again(inputs))
            pulled, _ = self._pulled(0, passed[0], inputs, shift, bend=False)
        else:
            value, direction = self.slope(update)
            update.clear()
            nowhere = [torch.zeros_like(leaf) for leaf in inputs.leaves]
            pulled = self._pull_down(passed, inputs, direction) if value.isfinite() else nowhere
        self.model.use(self.start)  # the weights it stood at last are as large as the network, and nobody needs them now
        return Match(value, pulled[0], pulled[1] if len(pulled) == 2 else None)

    def _record(self, inputs: _Inputs) -> list[_Passed]:
        """The client's steps, with the slope towards the leaves and the kinks of each."""
        passed: list[_Passed] = []
        weights: Gradients = self.start
        self.model.tape.replaying = False
        for rows in self.steps.rows:
            if passed:
                weights = self._walk(weights, passed[-1].slopes, -self.steps.rate)
            self.model.tape.decisions = deque()
            wanted = [*weights.values(), *inputs.leaves]
            found = torch.autograd.grad(self._loss(weights, inputs, rows), wanted, materialize_grads=True)
            slopes = dict(zip(weights, found, strict=False))
            passed.append(_Passed(rows, slopes, found[len(slopes) :], self.model.tape.decisions))
        return passed

    def _update_again(self, inputs: _Inputs) -> Gradients:
        """The update of one step, from a pass that decides afresh as the first one did."""
        update = _scaled_sum(self._record(inputs), -self.steps.rate)
        self.model.tape.replaying = True
        return update

    def _pull_down(self, passed: list[_Passed], inputs: _Inputs, direction: Gradients) -> list[Tensor]:
        """dD/dleaves, from the last step to the first, each forgotten as soon as it is undone.

        ``direction`` is the cotangent of the weights after each.
        """
        totals = [torch.zeros_like(leaf) for leaf in inputs.leaves]
        steady: Gradients = {}
        for index in reversed(range(len(passed))):
            steady = self._undo(index, passed.pop(), inputs, direction, totals, steady)
            if index > 1:
                self._walk(self.local, passed[-1].slopes, self.steps.rate)
        return totals

    def _undo(
        self, index: int, step: _Passed, inputs: _Inputs, direction: Gradients, totals: list[Tensor], steady: Gradients
    ) -> Gradients:
        """Pull ``direction`` back through one step; how that bends it, where the steps before bend it alike."""
        shift = PlainShift(self.local if index else self.start, direction, self.places)
        found, fresh = self._pulled(index, step, inputs, shift, bend=index > 0 and not steady)
        for total, each in zip(totals, found, strict=True):
            total.add_(each)
        if not index:
            return {}
        bends = steady or fresh
        for name, tensor in direction.items():
            tensor.add_(bends[name])
        return bends if steady or index * float(length(bends)) <= STEADY * shift.length else {}

    def _pulled(
        self, index: int, step: _Passed, inputs: _Inputs, shift: Shift, *, bend: bool
    ) -> tuple[list[Tensor], Gradients]:
        """What the step adds to dD/dleaves and, with ``bend``, to the cotangent of the weights before it."""
        found, h = self._shifted(index, step, inputs, shift, bend=bend)
        factor = -self.steps.rate / h
        gaps = [after.sub_(before).mul_(factor) for after, before in zip(found, step.pulled, strict=False)]
        bends = zip(step.slopes.items(), found[len(gaps) :], strict=False)
        return gaps, {name: after.sub_(before).mul_(factor) for (name, before), after in bends}

    def _shifted(
        self, index: int, step: _Passed, inputs: _Inputs, shift: Shift, *, bend: bool
    ) -> tuple[tuple[Tensor, ...], float]:
        """The slopes at theta + h v with the step's kinks, and h; tried again where h was far from a good one."""
        left = RETRIES
        while True:
            h = self.reach[index] / shift.length
            found = self._slopes_at(h, step, inputs, shift, bend=bend)
            correction = self._correction(found[0], step.pulled[0])
            self.reach[index] *= correction
            if not left or 1 / TOLERANCE < correction < TOLERANCE:
                return found, h
            left -= 1
            del found  # the next try asks for as much memory

    def _slopes_at(self, h: float, step: _Passed, inputs: _Inputs, shift: Shift, *, bend: bool) -> tuple[Tensor, ...]:
        """The slopes towards the leaves and, with ``bend``, towards the weights."""
        shifted = shift.by(h)
        weights = _as_leaves(shifted) if bend else shifted
        self.model.tape.decisions = deque(step.decisions)
        wanted = [*inputs.leaves, *weights.values()] if bend else inputs.leaves
        return torch.autograd.grad(self._loss(weights, inputs, step.rows), wanted, materialize_grads=True)

    def _correction(self, after: Tensor, before: Tensor) -> float:
        """By what to lengthen the step for dL/dx to change by the wanted share; 1 where it does not change at all."""
        share = float((after - before).norm() / before.norm())
        return self.share / share if 0 < share < float("inf") else 1.0

    @torch.no_grad()
    def _walk(self, weights: Gradients, slopes: Gradients, rate: float) -> Gradients:
        """The local weights, written over the present ones: the given ones + rate * slopes."""
        for name, tensor in weights.items():
            torch.add(tensor, slopes[name], alpha=rate, out=self.local[name])
        return _as_leaves(self.local)

    def _loss(self, weights: Gradients, inputs: _Inputs, rows: Tensor | None) -> Tensor:
        images, targets = (inputs.images, inputs.targets) if rows is None else (inputs.images[rows], inputs.targets[rows])
        self.model.use(weights)
        return loss(self.model(images), targets)


def _room(weights: Gradients) -> Gradients:
    return {name: torch.empty_like(tensor) for name, tensor in weights.items()}


def _as_leaves(weights: Gradients) -> Gradients:
    return {name: tensor.detach().requires_grad_() for name, tensor in weights.items()}


def _scaled_sum(passed: list[_Passed], rate: float) -> dict[str, Tensor]:
    """Rate * (g_0 + g_1 + ...): the update, without the rounding of weights subtracted from weights.

    The first step's slopes, which nothing else needs, become the sum: who empties it has given their memory back.
    """
    total = passed[0].slopes
    for step in passed[1:]:
        for name, tensor in step.slopes.items():
            total[name].add_(tensor)
    if rate != 1:
        for tensor in total.values():
            tensor.mul_(rate)
    return total
