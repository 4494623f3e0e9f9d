"""Adam on the plain gradient."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Tensor

from lab.attacks.matching.optimisers.base import Optimiser
from lab.attacks.matching.optimisers.stepper import AdamStepper, Stepper


@dataclass(frozen=True)
class Adam(Optimiser):
    """Adam (Kingma and Ba 2015) on the image gradient as it is."""

    def stepper(self, parameters: list[Tensor]) -> Stepper:
        """Torch's Adam."""
        return AdamStepper(parameters, self.step)
