"""A quasi-Newton step: against the gradient, undone by the curvature, as far as the objective falls."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab.lazy import Tensor, no_grad, torch

from lab.attacks.matching.optimisers.curvature import Curvature
from lab.attacks.matching.optimisers.stepper import Metric

WOLFE_DELTA, WOLFE_SIGMA = 0.1, 0.9
"""delta and sigma of Wolfe's conditions, as Hager and Zhang 2005 set them."""
ROUNDING_TOLERANCE = 1e-3
"""By what share of itself the objective may seem to rise: near the end its falls drown in the rounding of the cosine."""
TRIALS = 8


@dataclass(frozen=True, eq=False)
class _Line:
    """From where, which way, and what the objective and its derivative along the way are at the start."""

    start: Tensor
    direction: Tensor
    value: float
    directional_derivative: float

    def at(self, length: float) -> Tensor:
        """The leaves' values so far along; exactly the start at 0."""
        return torch.add(self.start, self.direction, alpha=length) if length else self.start

    def falls(self, length: float, found: float, along: float) -> bool:
        """Whether a trial brought its share of the fall promised, or, as far as rounding lets one see, is no rise."""
        if found <= self.value + WOLFE_DELTA * length * self.directional_derivative:
            return True
        return (
            found <= self.value + ROUNDING_TOLERANCE * abs(self.value)
            and along <= (2 * WOLFE_DELTA - 1) * self.directional_derivative
        )


class QuasiNewtonStepper:
    """L-BFGS with a line search by the approximate Wolfe conditions (Hager and Zhang 2005, section 2).

    ``torch.optim.LBFGS`` compares values alone; where their differences are rounding, it spends its trials in vain.
    Its first use also imports torch's compiler, for which a visitor's first click would have to wait.
    """

    def __init__(self, parameters: list[Tensor], lr: float, history: int, metric: Metric | None = None) -> None:
        """The metric is that of the first leaf, in its own shape."""
        self.param_groups: list[dict[str, Any]] = [{"params": parameters, "lr": lr}]
        self._metric = metric
        self._curvature = Curvature(self._parameters(), history, self._preconditioned)

    def step(self, closure: Callable[[], float]) -> float:
        """Evaluate, then move the leaves downhill; they stay where no trial leads there."""
        value = closure()
        gradient = self._gradient()
        direction = self._curvature.inverse_hessian_vector(gradient).neg()
        line = _Line(self._parameters(), direction, value, float(direction.dot(gradient)))
        found = self._search(closure, line, self._first_length(direction)) if line.directional_derivative < 0 else None
        if found is None:
            self._curvature.forget()
        else:
            length, gradient_there = found
            self._curvature.remember(length * direction, gradient, gradient_there)
        return value

    def _search(self, closure: Callable[[], float], line: _Line, length: float) -> tuple[float, Tensor] | None:
        """How far along the line the leaves were moved, and the gradient there: by halving and doubling."""
        shortest, longest, reached = 0.0, math.inf, None
        for _ in range(TRIALS):
            self._move(line.at(length))
            found, gradient = closure(), self._gradient()
            along = float(gradient.dot(line.direction))
            if not line.falls(length, found, along):
                longest = length
            else:
                shortest, reached = length, gradient
                if along >= WOLFE_SIGMA * line.directional_derivative:
                    return length, gradient
            length = (shortest + longest) / 2 if longest < math.inf else 2 * length
        self._move(line.at(shortest))
        return None if reached is None else (shortest, reached)

    def _first_length(self, direction: Tensor) -> float:
        """The step size; in a first step, which knows of no curvature, at most that over all leaves together."""
        lr = self.param_groups[0]["lr"]
        return lr if len(self._curvature) else lr * min(1.0, 1 / float(direction.abs().sum()))

    def _preconditioned(self, gradient: Tensor) -> Tensor:
        """The metric of the first leaf, the identity of the others."""
        if self._metric is None:
            return gradient
        leaf = self._leaves[0]
        first, others = gradient[: leaf.numel()], gradient[leaf.numel() :]
        return torch.cat([self._metric(first.view_as(leaf)).flatten(), others])

    @property
    def _leaves(self) -> list[Tensor]:
        return self.param_groups[0]["params"]

    def _parameters(self) -> Tensor:
        return torch.cat([leaf.detach().flatten() for leaf in self._leaves])

    def _gradient(self) -> Tensor:
        return torch.cat(
            [torch.zeros_like(leaf).flatten() if leaf.grad is None else leaf.grad.flatten() for leaf in self._leaves]
        )

    @no_grad
    def _move(self, values: Tensor) -> None:
        sizes = [leaf.numel() for leaf in self._leaves]
        for leaf, part in zip(self._leaves, values.split(sizes), strict=True):
            leaf.copy_(part.view_as(leaf))
