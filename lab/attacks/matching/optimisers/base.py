"""What an optimiser is: a step size, a schedule over the budget, and what moves the leaves."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, ClassVar

from lab.lazy import Tensor

from lab.attacks.matching.optimisers.stepper import Metric, Stepper
from lab.options.catalogue import Entry
from lab.options.fields import Bounds, Help


class Schedule(Enum):
    """How the step shrinks along the budget."""

    CONSTANT = "constant"
    STEPS = "steps"
    COSINE = "cosine"

    def factor(self, progress: float) -> float:
        """The factor of the step size at ``progress`` in [0, 1] of the budget."""
        if self is Schedule.STEPS:
            return 0.1 ** sum(progress >= eighths / 8 for eighths in (3, 5, 7))
        return (1 + math.cos(math.pi * progress)) / 2 if self is Schedule.COSINE else 1.0


@dataclass(frozen=True)
class Optimiser(Entry):
    """Base of all optimisers."""

    kind: ClassVar[str] = "optimiser"
    step: Annotated[float, Bounds(1e-4, 10.0, log=True), Help("step size at the start, in units of the pixel range")] = 0.1
    schedule: Annotated[Schedule, Help("how the step shrinks: in tenths at 3/8, 5/8, 7/8 (steps), smoothly (cosine), not")] = (
        Schedule.COSINE
    )

    @abstractmethod
    def stepper(self, parameters: list[Tensor]) -> Stepper:
        """A fresh stepper over these leaves."""

    def metric_stepper(self, parameters: list[Tensor], metric: Metric) -> Stepper | None:
        """One that is told of the first leaf how far to follow a gradient; None where it has no use for that."""
        return None

    def direction(self, gradient: Tensor) -> Tensor:
        """What the stepper is given instead of the image gradient."""
        return gradient
