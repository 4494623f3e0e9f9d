"""The mixed derivative at the floor: a finite difference with the activation pattern frozen."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.distances.base import Distance, length
from lab.frozen_pattern import Freezable
from lab.gradients import LocalSteps, Match, loss
from lab.types import Gradients, Images, Targets

TINY = 1e-18
"""Stands in for the length of a direction that is zero."""
TOLERANCE = 10
"""By how much the length of a step may miss the good one, either way, before it is tried again."""
RETRIES = 3


@dataclass(frozen=True, eq=False)
class _Passed:
    """One local step as the first sweep left it."""

    rows: Tensor | None
    weights: Gradients
    slopes: Gradients
    """dL/dtheta there."""
    pulled: tuple[Tensor, ...]
    """dL/dx (and dL/dtargets) there."""
    decisions: deque[Tensor]


class FrozenMatcher:
    """d/dx D(update(x), shared) for 5/3 of a training step instead of the 7/3 of double backward.

    The first pass gives g = dL/dtheta and dL/dx. The second, at theta + h v with v = dD/dg and
    the first one's kinks, gives dL/dx alone; their difference over h is d/dx <g(x), v>. Through
    local steps theta_k+1 = theta_k - tau g_k the same pass carries the cotangent down,
    lambda_k = lambda_k+1 - tau H_k lambda_k+1, so each costs two training steps.

    h is such that dL/dx changes by a share of about 1e-3 in float32: below, rounding spoils the
    difference, above, curvature does. What one call saw sets the h of the next.
    """

    def __init__(self, network: nn.Module, steps: LocalSteps, distance: Distance, shared: Gradients) -> None:
        self.model = Freezable(network)
        self.steps = steps
        self.slope = distance.against(shared)
        self.start = dict(network.named_parameters())
        self.share = 3 * torch.finfo(next(iter(shared.values())).dtype).eps ** 0.5
        with torch.no_grad():
            self.reach = [self.share * float(length(self.start))] * len(steps.rows)

    def __call__(self, images: Images, targets: Targets) -> Match:
        """The distance and its gradients, each to about four digits in float32 and eight in float64."""
        leaves = [tensor.detach().requires_grad_() for tensor in (images, targets) if tensor.is_floating_point()]
        inputs = (leaves[0], leaves[1] if len(leaves) == 2 else targets)
        passed = self._record(leaves, inputs)
        update = _scaled_sum(passed, -self.steps.rate)
        value, direction = self.slope(update)
        pulled = self._pull_down(passed, leaves, inputs, direction)
        return Match(value, pulled[0], pulled[1] if len(pulled) == 2 else None)

    def _record(self, leaves: list[Tensor], inputs: tuple[Tensor, Tensor]) -> list[_Passed]:
        """The client's steps, with the slope towards the leaves and the kinks of each."""
        weights: Gradients = self.start
        passed: list[_Passed] = []
        self.model.tape.replaying = False
        for rows in self.steps.rows:
            self.model.tape.decisions = deque()
            value = self._loss(weights, inputs, rows)
            found = torch.autograd.grad(value, [*weights.values(), *leaves])
            slopes = dict(zip(weights, found, strict=False))
            passed.append(_Passed(rows, weights, slopes, found[len(slopes) :], self.model.tape.decisions))
            if len(passed) < len(self.steps.rows):
                weights = _moved(weights, slopes, -self.steps.rate)
        return passed

    def _pull_down(
        self, passed: list[_Passed], leaves: list[Tensor], inputs: tuple[Tensor, Tensor], direction: Gradients
    ) -> list[Tensor]:
        """dD/dleaves, from the last step to the first; ``direction`` is the cotangent of the weights after each."""
        totals = [torch.zeros_like(leaf) for leaf in leaves]
        self.model.tape.replaying = True
        for index, step in reversed(list(enumerate(passed))):
            found, h = self._shifted(index, step, leaves, inputs, direction)
            factor = -self.steps.rate / h
            gaps = [after - before for after, before in zip(found, step.pulled, strict=False)]
            totals = [total.add(gap, alpha=factor) for total, gap in zip(totals, gaps, strict=True)]
            if index > 0:
                curved = zip(direction.items(), found[len(leaves) :], step.slopes.values(), strict=True)
                direction = {name: tensor.add(after - before, alpha=factor) for (name, tensor), after, before in curved}
        return totals

    def _shifted(
        self, index: int, step: _Passed, leaves: list[Tensor], inputs: tuple[Tensor, Tensor], direction: Gradients
    ) -> tuple[tuple[Tensor, ...], float]:
        """The slopes at theta + h v with the step's kinks, and h; tried again where h was far from a good one."""
        size = max(float(length(direction)), TINY)
        found, h = self._slopes_at(index, step, leaves, inputs, direction, size)
        for _ in range(RETRIES):
            correction = self._correction(found[0], step.pulled[0])
            self.reach[index] *= correction
            if 1 / TOLERANCE < correction < TOLERANCE:
                break
            found, h = self._slopes_at(index, step, leaves, inputs, direction, size)
        return found, h

    def _slopes_at(
        self, index: int, step: _Passed, leaves: list[Tensor], inputs: tuple[Tensor, Tensor], direction: Gradients, size: float
    ) -> tuple[tuple[Tensor, ...], float]:
        """The slopes towards the leaves, and towards the weights for all steps but the first, whose weights are given."""
        h = self.reach[index] / size
        weights = _moved(step.weights, direction, h, requires_grad=index > 0)
        self.model.tape.decisions = deque(step.decisions)
        wanted = leaves if index == 0 else [*leaves, *weights.values()]
        return torch.autograd.grad(self._loss(weights, inputs, step.rows), wanted), h

    def _correction(self, after: Tensor, before: Tensor) -> float:
        """By what to lengthen the step for dL/dx to change by the wanted share; 1 where it does not change at all."""
        share = float((after - before).norm() / before.norm())
        return self.share / share if 0 < share < float("inf") else 1.0

    def _loss(self, weights: Gradients, inputs: tuple[Tensor, Tensor], rows: Tensor | None) -> Tensor:
        images, targets = inputs if rows is None else (inputs[0][rows], inputs[1][rows])
        self.model.use(weights)
        return loss(self.model(images), targets)


def _moved(weights: Gradients, direction: Gradients, size: float, *, requires_grad: bool = True) -> Gradients:
    with torch.no_grad():
        moved = {name: tensor.add(direction[name], alpha=size) for name, tensor in weights.items()}
    return {name: tensor.requires_grad_(requires_grad) for name, tensor in moved.items()}


def _scaled_sum(passed: list[_Passed], rate: float) -> Gradients:
    """Rate * (g_0 + g_1 + ...): the update, without the rounding of weights subtracted from weights."""
    if len(passed) == 1 and rate == 1:
        return passed[0].slopes
    return {name: rate * torch.stack([step.slopes[name] for step in passed]).sum(0) for name in passed[0].slopes}
