"""Adam on the plain gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.optimisers.base import Optimiser


@dataclass(frozen=True)
class Adam(Optimiser):
    """Adam (Kingma and Ba 2015) on the image gradient as it is."""

    def stepper(self, parameters: list[Tensor]) -> torch.optim.Optimizer:
        """Torch's Adam."""
        return torch.optim.Adam(parameters, lr=self.step)
