"""Another number of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lab.lazy import Tensor, torch

from lab.federated.singular_values import rank_of
from lab.findings.base import Finding, Found
from lab.findings.case import Case
from lab.findings.later_weights import ABOVE_ROUNDING
from lab.findings.noise import MIN_NOISE, noise_share

ROUNDING_FACTOR = 5.0
"""Of other pictures each direction is so many times as long as rounding leaves, else this layer tells no number."""
GAP = 100.0
"""A number of pictures shows where the next singular value is so many times smaller."""


@dataclass(frozen=True)
class Pictures(Finding):
    """More or fewer pictures are behind the update than were told."""

    place: ClassVar[int] = 100

    def look(self, case: Case) -> Found | None:
        """By the rank of a linear layer's gradient, to which each picture adds one."""
        count = pictures_of(case)
        if count is None or count == case.pictures:
            return None
        return self.found(
            f"It looks like {count} pictures, and {case.pictures} were told: so many directions there are in a linear layer's "
            f"gradient. Tell batch_size={count}, or --batch {count}.",
            count,
        )


def pictures_of(case: Case) -> int | None:
    """How many there look to be; None where nothing tells: after local steps, under noise, in narrow layers."""
    noise = noise_share(case)
    moved = case.violation is not None and case.violation.share > max(1e-5, ABOVE_ROUNDING * case.rounding)
    if case.is_coarse or case.seen.local_steps > 1 or moved or noise is None or noise > MIN_NOISE:
        return None
    for name in case.network.linear_layers:
        if f"{name}.weight" in case.sent:
            count = _rank(case, name, case.sent)
            others = [_rank(case, name, other, ROUNDING_FACTOR) == case.pictures for other in case.gradients_of_others]
            if count is not None and 2 * sum(others) >= len(others):  # some have two pictures that are nearly alike
                return count
    return None


def _rank(case: Case, name: str, gradient: Mapping[str, Tensor], margin: float = 1.0) -> int | None:
    """Of a layer's gradient; None where it is as high as it can be, or ends in no clear step.

    A direction counts that is ``margin`` times as long as rounding leaves.
    """
    weight = gradient[f"{name}.weight"]
    values = torch.linalg.svdvals(weight)
    shares = case.last is not None and name == case.last[0] and case.seen.loss.is_shift_invariant
    most = min(weight.shape) - shares  # a softmax's slopes add up to zero
    count = rank_of(values, margin * max(1e-6, 10 * case.rounding))
    clear = 0 < count < most and float(values[count - 1]) > GAP * float(values[count])
    return count if clear else None
