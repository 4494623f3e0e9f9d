"""A sum for a mean, a clipped update, another rate than told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from lab.federated.losses.base import Reduction
from lab.findings.base import Finding, Found
from lab.findings.case import Case
from lab.findings.last_layer import fitted
from lab.findings.later_weights import shift_of_weights
from lab.options.words import rounded

BELIEVED = 0.25
SAME = math.log(1.25)
"""Lengths are the same up to this factor."""
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
        sum_ = _told_otherwise(case, fit.factor)
        if sum_ is None and (_is_usual(case, fit.factor) or _is_met_on_the_way(case)):
            return None
        return self.found(
            f"The update is {rounded(fit.factor, 3)} times as long as a mean gradient: it looks like "
            f"{sum_ or 'clipped, or of another rate than told'}. Divide it by that; a cosine distance does not mind.",
            fit.factor,
        )


def _told_otherwise(case: Case, factor: float) -> str | None:
    """A sum told as a mean, or the other way round, in words; None where the length is that of neither."""
    summed = case.seen.loss.reduction is Reduction.SUM
    for parts, over in _sums(case):
        if abs(math.log(factor * parts if summed else factor / parts)) < SAME:
            one, other = ("mean", "sum") if summed else ("sum", "mean")
            return f"the {one} over {over}, not their {other}"
    return None


def _sums(case: Case) -> Iterator[tuple[int, str]]:
    """Over how many parts a loss may be summed, and what they are: pictures, and classes where these stand alone."""
    pictures, classes = case.pictures, case.seen.classes
    if pictures > 1:
        yield pictures, f"{pictures} pictures"
    if not case.seen.loss.is_shift_invariant:
        yield classes, f"{classes} classes"
        if pictures > 1:
            yield pictures * classes, f"{pictures} pictures and {classes} classes"


def _is_usual(case: Case, factor: float) -> bool:
    """Whether a mean gradient may be so long: of one picture it is known, of several guessed, after local steps shorter."""
    bound = OF_ONE if case.pictures == 1 else OF_SEVERAL
    return (case.seen.local_steps > 1 or factor > 1 / bound) and factor < bound


def _is_met_on_the_way(case: Case) -> bool:
    """Whether local steps, told or not, explain why it is shorter."""
    moved = shift_of_weights(case)
    return moved is not None and moved[0] < 0
