"""What moves the leaves: the part of ``torch.optim.Optimizer`` that an attack needs, and Adam in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from lab.lazy import Tensor, torch

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
"""beta_1, beta_2 and epsilon of Kingma and Ba 2015."""

Metric = Callable[[Tensor], Tensor]
"""A symmetric positive definite M, from a leaf's gradient to the way down that seems good before any step is known."""


@runtime_checkable
class Stepper(Protocol):
    """One step at a time; every torch optimiser is one."""

    param_groups: list[dict[str, Any]]

    def step(self, closure: Callable[[], float]) -> Any:
        """Evaluate the objective (which leaves gradients behind), then move the leaves."""


class AdamStepper:
    """Adam, algorithm 1 of Kingma and Ba 2015.

    ``torch.optim.Adam`` computes the same, but its first use imports torch's compiler:
    some 4 seconds and 150 MB for which a visitor's first click would have to wait.
    """

    def __init__(self, parameters: list[Tensor], lr: float) -> None:
        self.param_groups: list[dict[str, Any]] = [{"params": parameters, "lr": lr}]
        self._first = [torch.zeros_like(leaf) for leaf in parameters]
        self._second = [torch.zeros_like(leaf) for leaf in parameters]
        self._steps = 0

    def step(self, closure: Callable[[], float]) -> float:
        """m, v, their bias corrections, and theta <- theta - lr m / (sqrt(v) + epsilon)."""
        value = closure()
        self._steps += 1
        size = self.param_groups[0]["lr"] / (1 - BETA_1**self._steps)
        correction = (1 - BETA_2**self._steps) ** 0.5
        with torch.no_grad():
            for leaf, first, second in zip(self.param_groups[0]["params"], self._first, self._second, strict=True):
                first.lerp_(leaf.grad, 1 - BETA_1)
                second.mul_(BETA_2).addcmul_(leaf.grad, leaf.grad, value=1 - BETA_2)
                leaf.addcdiv_(first, (second.sqrt() / correction).add_(EPSILON), value=-size)
        return value
