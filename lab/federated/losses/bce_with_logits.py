"""Binary cross entropy: for each class by itself whether it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.lazy import Float, Tensor, functional

from lab.federated.losses.base import Logits, Loss, Reduction, one_hot
from lab.federated.tensors import Targets


@dataclass(frozen=True)
class BCEWithLogits(Loss):
    """-log of the probability that each class's sigmoid gives its answer, yes or no (``torch.nn.BCEWithLogitsLoss``)."""

    takes_one_logit: ClassVar[bool] = True
    takes_rows: ClassVar[bool] = True

    def value(self, logits: Logits, targets: Targets) -> Float[Tensor, ""]:
        """The mean, or sum, over pictures and classes of each answer's binary cross entropy."""
        return functional.binary_cross_entropy_with_logits(logits, one_hot(logits, targets), reduction=self.reduction.value)

    def logit_gradient(self, logits: Logits, targets: Targets) -> Logits:
        """Sigmoid - y: below zero where the answer is yes, and nowhere else."""
        return (logits.sigmoid() - one_hot(logits, targets)) / self._count(logits)

    def hessian_products(
        self, logits: Logits, targets: Targets, directions: Float[Tensor, "directions classes"]
    ) -> Float[Tensor, "batch directions classes"]:
        """Sigmoid' of the logits times the direction."""
        slope = logits.sigmoid() * (1 - logits.sigmoid()) / self._count(logits)
        return slope.unsqueeze(1) * directions

    def to_soft_targets(self, numbers: Logits) -> Logits:
        """A sigmoid of each class by itself."""
        return numbers.sigmoid()

    def has_plausible_sign(self, direction: Float[Tensor, " classes"]) -> bool:
        """The answer is no for most classes."""
        return bool(direction.sum() > 0)

    def _count(self, logits: Logits) -> int:
        return logits.numel() if self.reduction is Reduction.MEAN else 1
