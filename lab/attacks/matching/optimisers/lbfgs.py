"""L-BFGS, the optimiser of Deep Leakage from Gradients; made for smooth networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lab.lazy import Tensor

from lab.attacks.matching.optimisers.base import Optimiser, Schedule
from lab.attacks.matching.optimisers.quasi_newton import QuasiNewtonStepper
from lab.attacks.matching.optimisers.stepper import Metric, Stepper
from lab.options.fields import Bounds, Help


@dataclass(frozen=True)
class LBFGS(Optimiser):
    """Limited-memory BFGS (Zhu et al. 2019 use it); best on smooth networks."""

    step: Annotated[float, Bounds(1e-4, 10.0, log=True), Help("length of the first trial step")] = 1.0
    schedule: Annotated[Schedule, Help("how the trial step shrinks along the budget")] = Schedule.CONSTANT
    history: Annotated[int, Bounds(1, 100), Help("steps kept to model the curvature; the flattest goes first")] = 20

    def stepper(self, parameters: list[Tensor]) -> Stepper:
        """One quasi-Newton step an iteration."""
        return QuasiNewtonStepper(parameters, self.step, self.history)

    def metric_stepper(self, parameters: list[Tensor], metric: Metric) -> Stepper:
        """The same, its first guess of the curvature the inverse of the metric."""
        return QuasiNewtonStepper(parameters, self.step, self.history, metric)
