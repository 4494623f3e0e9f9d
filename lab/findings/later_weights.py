"""Weights from after the round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.findings.base import Finding, Found
from lab.findings.case import Case
from lab.findings.last_layer import fitted, refitted
from lab.options.words import percent, rounded

DROP = 0.2
"""Other weights are believed where they leave less than this share of what was wrong."""
ABOVE_ROUNDING = 30.0


@dataclass(frozen=True)
class LaterWeights(Finding):
    """The weights are not those that the client began with, but some from after the round: the most common mistake."""

    place: ClassVar[int] = 70

    def look(self, case: Case) -> Found | None:
        """By the laws of gradients, and one picture's logits: they hold at the given weights plus a part of the update."""
        told = shift_of_weights(case)
        if told is None or told[0] <= 0:
            return None
        return self.found(
            "The weights are from after the round: what every gradient of this network obeys holds at earlier ones, "
            f"{rounded(told[0], 3)} times the gradient away ({percent(told[1])} of it is violated here). Give the weights "
            "that the client began with.",
            told[0],
        )


def shift_of_weights(case: Case) -> tuple[float, float] | None:
    """Where the update's weights are, as a multiple of the mean gradient, and how wrong it is here; None where none is."""
    least = max(1e-5, ABOVE_ROUNDING * case.rounding)
    if case.is_coarse:
        return None
    found = case.violation
    if found is not None:
        return (found.shift, found.share) if found.share > least and found.left < DROP * found.share else None
    here, there = fitted(case), refitted(case)
    if here is None or there is None or here.residual < least or there.residual > DROP * here.residual:
        return None
    return there.shift, here.residual
