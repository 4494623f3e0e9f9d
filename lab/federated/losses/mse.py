"""Squared error of the logits themselves."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Float, Tensor, functional

from lab.federated.losses.base import Logits, Loss, Reduction, one_hot
from lab.federated.tensors import Targets


@dataclass(frozen=True)
class MSE(Loss):
    """The squared difference between logits and labels, these as zeros and a one (``torch.nn.MSELoss``)."""

    def value(self, logits: Logits, targets: Targets) -> Float[Tensor, ""]:
        """The mean, or sum, over pictures and classes of the squared error."""
        return functional.mse_loss(logits, one_hot(logits, targets), reduction=self.reduction.value)

    def logit_gradient(self, logits: Logits, targets: Targets) -> Logits:
        """2 (z - y)."""
        return self._factor(logits) * (logits - one_hot(logits, targets))

    def hessian_products(
        self, logits: Logits, targets: Targets, directions: Float[Tensor, "directions classes"]
    ) -> Float[Tensor, "batch directions classes"]:
        """Twice the direction, wherever the logits are."""
        return self._factor(logits) * directions.expand(len(logits), -1, -1)

    @property
    def label_has_lowest_gradient(self) -> bool:
        """False: another class's logit may lie further below zero than the label's below one."""
        return False

    def _factor(self, logits: Logits) -> float:
        return 2 / logits.numel() if self.reduction is Reduction.MEAN else 2.0
