"""Nothing at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.findings.base import Finding, Found
from lab.findings.case import Case


@dataclass(frozen=True)
class NothingSent(Finding):
    """Every shared number is zero."""

    place: ClassVar[int] = 0
    hides_others: ClassVar[bool] = True

    def look(self, case: Case) -> Found | None:
        """By the numbers themselves."""
        if not case.seen.tells_nothing:
            return None
        return self.found(
            "Nothing was sent: every shared number is zero. No weight trained, the network is quite sure of every label, or a "
            "defence kept all back; no attack finds anything in it. Capture the round again.",
            0.0,
        )
