"""Noise added before sending."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from lab.lazy import torch

from lab.federated.singular_values import noise_behind
from lab.findings.base import Finding, Found
from lab.findings.case import Case
from lab.options.words import percent

MIN_NOISE, ABOVE_ROUNDING = 1e-4, 20.0
FEWEST, MAX_SPREAD = 3, 2.5
"""So many directions tell noise, whose strongest is at most so many times its weakest."""
COLUMNS, LONGER = 10, 4.0
"""So many columns in each third, and their lengths so far apart, tell whether what was added goes by them."""


@dataclass(frozen=True)
class Noise(Finding):
    """Random numbers were added to the update."""

    place: ClassVar[int] = 60

    def look(self, case: Case) -> Found | None:
        """By equations of the last layer that every gradient of its loss obeys, and noise does not."""
        share = noise_share(case)
        if share is None or share < max(MIN_NOISE, ABOVE_ROUNDING * case.rounding) or grows_with_numbers(case):
            return None
        return self.found(
            f"Noise about {percent(share)} as long as the update was added: {_told_by(case)}. Matching keeps the picture "
            "smoother for it.",
            share,
        )


def grows_with_numbers(case: Case) -> bool:
    """Whether what breaks the equations is the larger the larger the numbers around it are, as rounding is and noise is not.

    By the columns of the last layer's gradient, one for each feature, the third of the longest beside that of the shortest.
    """
    if case.last is None or case.is_coarse or not case.seen.loss.is_shift_invariant:
        return False
    weight = case.sent[f"{case.last[0]}.weight"]
    lengths, off = weight.norm(dim=0), weight.sum(0).abs()
    order = lengths.argsort()[-int((lengths > 0).sum()) :]
    third = len(order) // 3
    if third < COLUMNS:
        return False
    (short, small), (long, large) = ((lengths[one].mean(), off[one].mean()) for one in (order[:third], order[-third:]))
    return bool(long > LONGER * short) and bool(large > LONGER / 2 * small)


def noise_share(case: Case) -> float | None:
    """The noise's length over that of the update; None where the last layer was not sent or numbers were left out.

    A softmax's logits share what they lose, so the rows of the last layer's gradient add up to zero. Of a loss whose dL/dlogits
    do not, fewer pictures than classes leave directions of that gradient empty, which noise fills evenly.
    """
    if case.last is None or case.is_coarse or not case.numbers.any():
        return None
    deviation = _by_sum(case) if case.seen.loss.is_shift_invariant else _by_rank(case)
    return None if deviation is None else deviation * math.sqrt(len(case.numbers)) / float(case.numbers.norm())


def _by_sum(case: Case) -> float:
    assert case.last is not None
    weight = case.sent[f"{case.last[0]}.weight"]
    return float(weight.sum(0).norm()) / math.sqrt(weight.numel())


def _by_rank(case: Case) -> float | None:
    """None where too few directions are empty, or they are filled unevenly, as by more pictures or steps than told."""
    assert case.last is not None
    weight = case.sent[f"{case.last[0]}.weight"]
    sizes = torch.linalg.svdvals(weight)
    empty = sizes[case.pictures :]
    if len(empty) < FEWEST or not float(empty[0]) <= MAX_SPREAD * float(empty[-1]):
        return None
    return noise_behind(sizes, weight.shape, case.pictures)


def _told_by(case: Case) -> str:
    if case.seen.loss.is_shift_invariant:
        return "the rows of the last layer's gradient, which cross entropy makes add up to zero, do not"
    count = f"{case.pictures} picture{'s' if case.pictures > 1 else ''}"
    return f"the last layer's gradient points every way, and {count} would leave most of them empty"
