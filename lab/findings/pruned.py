"""Small numbers left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.findings.base import Finding, Found
from lab.findings.case import Case
from lab.options.words import rounded


@dataclass(frozen=True)
class Pruned(Finding):
    """The small numbers of the update were set to zero, and the large ones sent."""

    place: ClassVar[int] = 20

    def look(self, case: Case) -> Found | None:
        """By the gap between the zeros and the smallest number."""
        share = case.left_out
        if not share or case.grid is not None:
            return None
        return self.found(
            f"The update was pruned: {rounded(100 * share, 3)} % of its numbers are zeros, and none is small beside "
            "them. Match what was sent, as gradient matching does by itself.",
            share,
        )
