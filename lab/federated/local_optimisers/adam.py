"""Adam (Kingma and Ba 2015)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from lab.lazy import Tensor

from lab.federated.local_optimisers.base import LocalOptimiser, Memory
from lab.options.fields import Bounds, Help

TINY = 1e-30
"""Below any square that counts; there a root has no slope, instead of an infinite one."""


@dataclass(frozen=True)
class LocalAdam(LocalOptimiser):
    """Steps of about one size for each weight: a fading mean gradient over the root mean square (``torch.optim.Adam``).

    The first step is the gradient's sign, whatever its size; what follows tells how it changed under way.
    """

    is_linear: ClassVar[bool] = False

    beta1: Annotated[float, Bounds(0.0, 0.9999), Help("share of the mean gradient that the next step keeps")] = 0.9
    beta2: Annotated[float, Bounds(0.0, 0.9999), Help("share of the mean square that the next step keeps")] = 0.999
    eps: Annotated[float, Bounds(1e-12, 1.0, log=True), Help("added to the root of the mean square")] = 1e-8
    weight_decay: Annotated[float, Bounds(0.0, 1.0), Help("times the weights, added to each gradient")] = 0.0

    @property
    def is_plain(self) -> bool:
        """Never: a direction is divided by sizes."""
        return False

    @property
    def remembered(self) -> int:
        """Two numbers a weight: the mean and the mean square."""
        return 2

    def in_strides(self, steps: float) -> LocalAdam:
        """Adam with means that forget as fast."""
        return replace(self, beta1=self.beta1**steps, beta2=self.beta2**steps)

    def direction(
        self, step: int, weight: Tensor, gradient: Tensor, memory: Memory, softness: float = 0.0
    ) -> tuple[Tensor, Memory]:
        """The mean over the root of the mean square, both means without the zeros that they began with."""
        if self.weight_decay:
            gradient = gradient.add(weight, alpha=self.weight_decay)
        mean, square = ((1 - self.beta1) * gradient, (1 - self.beta2) * gradient.square())
        if memory:
            mean, square = mean.add(memory[0], alpha=self.beta1), square.add(memory[1], alpha=self.beta2)
        first, second = (1 - beta ** (step + 1) for beta in (self.beta1, self.beta2))
        root = square.clamp_min(TINY).sqrt() / math.sqrt(second)
        return mean / (first * (root + self.eps + softness)), (mean, square)
