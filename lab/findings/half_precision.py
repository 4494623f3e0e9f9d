"""Steps computed in half precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.findings.base import Finding, Found
from lab.findings.case import Case
from lab.findings.noise import ABOVE_ROUNDING, MIN_NOISE, grows_with_numbers, noise_share
from lab.options.words import rounded


@dataclass(frozen=True)
class HalfPrecision(Finding):
    """The client's layers computed in float16 or bfloat16, and its steps were added up in single precision."""

    place: ClassVar[int] = 58

    def look(self, case: Case) -> Found | None:
        """By equations of the last layer that are off in proportion to its numbers; what was sent as computed is quantised."""
        share = noise_share(case)
        if share is None or share < max(MIN_NOISE, ABOVE_ROUNDING * case.rounding) or not grows_with_numbers(case):
            return None
        return self.found(
            f"The client computed in half precision: the last layer's rows fail to add up to zero by {rounded(share, 2)} of "
            "the update's length, the more the larger they are. Match what is left of it; closed forms are only approximate.",
            share,
        )
