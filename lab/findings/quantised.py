"""Numbers rounded to a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.findings.base import Finding, Found
from lab.findings.case import Case


@dataclass(frozen=True)
class Quantised(Finding):
    """The update was rounded to few sizes, to signs, or to a number format of few bits, before it was sent."""

    place: ClassVar[int] = 10

    def look(self, case: Case) -> Found | None:
        """By how many different sizes its tensors have."""
        grid = case.grid
        if grid is None:
            return None
        if grid.levels:
            how = f"was quantised: every large tensor holds {grid.words}"
        else:
            how = f"was computed or sent in half precision: every large tensor is exact in {grid.words}"
        return self.found(f"The update {how}. Match what is left of it; closed forms are only approximate.", grid.levels or 0)
