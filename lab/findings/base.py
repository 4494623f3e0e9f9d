"""What a finding is: one thing that an update shows, in plain words, with the number behind it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from lab.findings.case import Case
from lab.options.catalogue import Entry


@dataclass(frozen=True)
class Found:
    """What was found."""

    name: str
    """The finding's."""
    sentence: str
    """What it is, and what to do about it."""
    evidence: float
    """The number that it was told by; the sentence says what it is."""


class Finding(Entry):
    """Base of all findings: looks at an update, and says something where there is something to say."""

    kind: ClassVar[str] = "finding"
    place: ClassVar[int]
    """Findings are looked for, and named, in this order: what others would be mistaken for comes first."""

    hides_others: ClassVar[bool] = False
    """Whether, where it is found, nothing that comes after it can be told."""

    @abstractmethod
    def look(self, case: Case) -> Found | None:
        """What there is; None where nothing shows."""

    def found(self, sentence: str, evidence: float) -> Found:
        """The finding with its sentence."""
        return Found(self.name, sentence, evidence)
