"""Cross entropy of a softmax, as classifiers are trained by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from lab.lazy import Float, Tensor, functional, torch

from lab.errors import LabError
from lab.federated.losses.base import Logits, Loss, Reduction, one_hot
from lab.federated.tensors import Targets
from lab.options.fields import AtMost, Bounds, Help

MAX_CLASSES = 1000


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """-log of the probability that a softmax gives the label (``torch.nn.CrossEntropyLoss``)."""

    is_shift_invariant: ClassVar[bool] = True

    label_smoothing: Annotated[float, Bounds(0.0, 0.99), Help("share of a label that is spread over all classes")] = 0.0
    class_weights: Annotated[
        tuple[float, ...], AtMost(MAX_CLASSES), Help("how much a picture of each class counts; empty: all alike")
    ] = ()

    def check(self) -> None:
        """Weights are such that a mean can be taken by them."""
        if not all(0 < weight < math.inf for weight in self.class_weights):
            raise LabError("cross_entropy: class_weights must be finite numbers above 0; give such a one for each class.")

    def value(self, logits: Logits, targets: Targets) -> Float[Tensor, ""]:
        """The mean by the pictures' weights, of soft targets as of class numbers; torch's own divides those by the count."""
        if self.is_counted:
            return functional.cross_entropy(logits, targets, reduction=self.reduction.value)
        return -(self._weighed(logits, targets) * logits.log_softmax(1)).sum() / self._count(logits, targets)

    def logit_gradient(self, logits: Logits, targets: Targets) -> Logits:
        """P sum_c t_c - t, with targets t that are smoothed and weighed; p - y of the plain one."""
        weighed = self._weighed(logits, targets)
        return (logits.softmax(1) * weighed.sum(1, keepdim=True) - weighed) / self._count(logits, targets)

    def hessian_products(
        self, logits: Logits, targets: Targets, directions: Float[Tensor, "directions classes"]
    ) -> Float[Tensor, "batch directions classes"]:
        """(diag p - p p^T) d for a direction d: p_c (d_c - p . d), each times what the picture weighs."""
        probabilities, weight = logits.softmax(1), self._weighed(logits, targets).sum(1) / self._count(logits, targets)
        moved = probabilities.unsqueeze(1) * (directions - (probabilities @ directions.T).unsqueeze(2))
        return moved * weight[:, None, None]

    @property
    def is_counted(self) -> bool:
        """True where a label is one whole part: neither smoothed nor weighed."""
        return not self.label_smoothing and not self.class_weights

    @property
    def label_has_lowest_gradient(self) -> bool:
        """True unless labels are spread, of which a sure network's is the highest."""
        return not self.label_smoothing

    def shares(self, classes: int) -> Float[Tensor, " classes"]:
        """The weights of the classes, unless a sum counts them already."""
        by_weight = self.class_weights and self.reduction is Reduction.MEAN
        return torch.tensor(self.class_weights, dtype=torch.float64) if by_weight else super().shares(classes)

    def _weights(self, logits: Logits) -> Float[Tensor, " classes"] | None:
        if not self.class_weights:
            return None
        if len(self.class_weights) != logits.shape[1]:
            raise LabError(
                f"cross_entropy: class_weights are given for {len(self.class_weights)} classes, and the network tells "
                f"{logits.shape[1]} apart; give one for each."
            )
        return torch.tensor(self.class_weights, dtype=logits.dtype, device=logits.device)

    def _weighed(self, logits: Logits, targets: Targets) -> Logits:
        """Targets, smoothed, times the weights."""
        smoothed = (1 - self.label_smoothing) * one_hot(logits, targets) + self.label_smoothing / logits.shape[1]
        weights = self._weights(logits)
        return smoothed if weights is None else smoothed * weights

    def _count(self, logits: Logits, targets: Targets) -> Float[Tensor, ""] | float:
        """What a mean divides by: as many pictures as there are, each as often as its label weighs."""
        if self.reduction is Reduction.SUM:
            return 1.0
        weights = self._weights(logits)
        return float(len(logits)) if weights is None else (one_hot(logits, targets) @ weights).sum()
