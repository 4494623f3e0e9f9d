"""What a loss is: the number that a client lowers, of logits and labels, and its first two derivatives there."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, ClassVar

from lab.lazy import Float, Tensor, torch

from lab.federated.tensors import Targets
from lab.options.catalogue import Entry
from lab.options.fields import Help

Logits = Float[Tensor, "batch classes"]


class Reduction(Enum):
    """What a batch's loss is of its pictures'."""

    MEAN = "mean"
    SUM = "sum"


@dataclass(frozen=True)
class Loss(Entry):
    """Base of all losses. Where a mean over the pictures is divided by the classes, too, their sum is over both."""

    kind: ClassVar[str] = "loss"
    is_shift_invariant: ClassVar[bool] = False
    """Whether each picture's dL/dlogits sum to zero over the classes: the loss is blind to what all logits share."""

    takes_one_logit: ClassVar[bool] = False
    """Whether one logit alone tells something: a yes, which is class 1, or a no, class 0."""

    takes_rows: ClassVar[bool] = False
    """Whether a picture may have any number of labels: a row of zeros and ones, each class by itself."""

    reduction: Annotated[Reduction, Help("over the pictures of a step: their mean, or their sum")] = Reduction.MEAN

    @abstractmethod
    def value(self, logits: Logits, targets: Targets) -> Float[Tensor, ""]:
        """L of a batch, a number that is twice differentiable in logits and in targets that are no class numbers."""

    @abstractmethod
    def logit_gradient(self, logits: Logits, targets: Targets) -> Logits:
        """The derivative dL/dlogits of a batch's loss."""

    @abstractmethod
    def hessian_products(
        self, logits: Logits, targets: Targets, directions: Float[Tensor, "directions classes"]
    ) -> Float[Tensor, "batch directions classes"]:
        """The loss's second derivative: by how much each picture's dL/dlogits move with its logits along each direction."""

    def per_example_logit_gradient(self, logits: Logits, targets: Targets) -> Logits:
        """The derivative dL/dlogits of each picture as if it were the whole batch."""
        pictures = (slice(place, place + 1) for place in range(len(logits)))
        return torch.cat([self.logit_gradient(logits[one], targets[one]) for one in pictures])

    @property
    def label_has_lowest_gradient(self) -> bool:
        """Whether the lowest of one picture's dL/dlogits is its label's, whatever the logits are."""
        return True

    @property
    def is_counted(self) -> bool:
        """Whether each picture's label lowers dL/dlogits by one part, so that parts can be counted (LLG)."""
        return False

    def shares(self, classes: int) -> Float[Tensor, " classes"]:
        """How much a picture of each class counts in a mean over pictures."""
        return torch.ones(classes, dtype=torch.float64)

    def length(self, pictures: int) -> float:
        """How many times as long this loss's gradient is as that of the mean over so many pictures."""
        return 1.0 if self.reduction is Reduction.MEAN else float(pictures)

    def to_soft_targets(self, numbers: Logits) -> Logits:
        """Targets from free numbers, for whoever seeks labels too: what sums to one."""
        return numbers.softmax(1)

    def has_plausible_sign(self, direction: Float[Tensor, " classes"]) -> bool:
        """Whether one picture's dL/dlogits, known up to their sign, are this way round, as far as their numbers tell."""
        return bool(direction[direction.abs().argmax()] < 0)


def one_hot(logits: Logits, targets: Targets) -> Logits:
    """Targets as a number for each class; of one logit alone its answer, 1 or 0."""
    if targets.is_floating_point():
        return targets.to(logits)
    if logits.shape[1] == 1:
        return targets.unsqueeze(1).to(logits)
    return (targets.unsqueeze(1) == torch.arange(logits.shape[1], device=logits.device)).to(logits)  # which torch.vmap bears
