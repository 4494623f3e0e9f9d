"""Noise added before sending."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from lab.findings.base import Finding, Found
from lab.findings.case import Case

AUDIBLE, ABOVE_ROUNDING = 1e-4, 20.0


@dataclass(frozen=True)
class Noise(Finding):
    """Random numbers were added to the update."""

    place: ClassVar[int] = 60

    def look(self, case: Case) -> Found | None:
        """A softmax's logits share what they lose, so the rows of the last layer's gradient add up to zero; noise does not."""
        share = noise_share(case)
        if share is None or share < max(AUDIBLE, ABOVE_ROUNDING * case.rounding):
            return None
        return self.found(
            f"Noise about {100 * share:.2g} % as long as the update was added: the rows of the last layer's gradient, which "
            "cross entropy makes add up to zero, do not. Matching keeps the picture smoother for it.",
            share,
        )


def noise_share(case: Case) -> float | None:
    """The noise's length over that of the update; None where the last layer was not sent or numbers were left out.

    Nor is it told of a loss whose dL/dlogits do not sum to zero.
    """
    if case.last is None or not case.seen.loss.zero_sum or case.is_coarse or not case.numbers.any():
        return None
    weight = case.sent[f"{case.last[0]}.weight"]
    deviation = float(weight.sum(0).norm()) / math.sqrt(weight.numel())
    return deviation * math.sqrt(len(case.numbers)) / float(case.numbers.norm())
