"""A sum for a mean, a clipped update, another rate than told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from lab.findings.base import Finding, Found
from lab.findings.case import Case
from lab.findings.last_layer import fitted
from lab.findings.later_weights import shift_of_weights

BELIEVED = 0.25
OF_ONE, OF_SEVERAL = 1.1, 1.5
"""Up to which factor a length is taken as told: of one picture it is known, of several guessed."""


@dataclass(frozen=True)
class Length(Finding):
    """The update is longer or shorter than a mean gradient: a sum over the pictures, clipped, or of another rate than told."""

    place: ClassVar[int] = 85

    def look(self, case: Case) -> Found | None:
        """By the last layer's slopes: there are whole numbers of pictures of each class."""
        fit = fitted(case)
        if fit is None or fit.factor <= 0 or fit.residual > BELIEVED:
            return None
        is_sum = case.pictures > 1 and abs(math.log(fit.factor / case.pictures)) < math.log(1.25)
        if not is_sum and (_is_usual(case, fit.factor) or _is_met_on_the_way(case)):
            return None
        what = f"the sum over {case.pictures} pictures, not their mean" if is_sum else "clipped, or of another rate than told"
        return self.found(
            f"The update is {fit.factor:.3g} times as long as a mean gradient: it looks like {what}. Divide it by that; "
            "a cosine distance does not mind.",
            fit.factor,
        )


def _is_usual(case: Case, factor: float) -> bool:
    """Whether a mean gradient may be so long: of one picture it is known, of several guessed, after local steps shorter."""
    bound = OF_ONE if case.pictures == 1 else OF_SEVERAL
    return (case.seen.local_steps > 1 or factor > 1 / bound) and factor < bound


def _is_met_on_the_way(case: Case) -> bool:
    """Whether local steps, told or not, explain why it is shorter."""
    moved = shift_of_weights(case)
    return moved is not None and moved[0] < 0
