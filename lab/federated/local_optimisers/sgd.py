"""Stochastic gradient descent, with momentum and weight decay where wanted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from lab.lazy import Tensor

from lab.federated.local_optimisers.base import LocalOptimiser, Memory
from lab.options.fields import Bounds, Help


@dataclass(frozen=True)
class LocalSGD(LocalOptimiser):
    """Steps along the gradient, or along a fading sum of all gradients so far (``torch.optim.SGD``)."""

    is_linear: ClassVar[bool] = True

    momentum: Annotated[float, Bounds(0.0, 0.999), Help("share of the last direction that the next one keeps")] = 0.0
    nesterov: Annotated[bool, Help("look one step of momentum ahead; without momentum it changes nothing")] = False
    weight_decay: Annotated[float, Bounds(0.0, 1.0), Help("times the weights, added to each gradient")] = 0.0

    @classmethod
    def usual(cls) -> tuple[LocalOptimiser, ...]:
        """SGD plain, and with the momentum and the weight decay that tutorials take."""
        momenta = (cls(), cls(momentum=0.9), cls(momentum=0.9, nesterov=True))
        return (*momenta, *(replace(each, weight_decay=5e-4) for each in momenta))

    @property
    def is_plain(self) -> bool:
        """True without momentum and weight decay."""
        return not self.momentum and not self.weight_decay

    @property
    def remembered(self) -> int:
        """One number a weight, the last direction, where momentum counts it."""
        return int(self.momentum > 0)

    def direction(
        self, step: int, weight: Tensor, gradient: Tensor, memory: Memory, softness: float = 0.0
    ) -> tuple[Tensor, Memory]:
        """v_k = g_k + mu v_k-1, and for Nesterov g_k + mu v_k, of gradients g_k that hold the weight decay."""
        if self.weight_decay:
            gradient = gradient.add(weight, alpha=self.weight_decay)
        if not self.momentum:
            return gradient, ()
        velocity = gradient.add(memory[0], alpha=self.momentum) if memory else gradient
        return gradient.add(velocity, alpha=self.momentum) if self.nesterov else velocity, (velocity,)
