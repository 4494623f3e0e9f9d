"""All findings of one update, and what it looks like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lab.errors import LabError, quoted
from lab.federated.observation import Observation
from lab.findings.base import Finding, Found
from lab.findings.case import Case
from lab.findings.last_layer import fitted
from lab.findings.noise import noise_share
from lab.findings.pictures import pictures_of
from lab.options.catalogue import entries
from lab.options.words import percent, rounded

if TYPE_CHECKING:
    Seen = Observation
else:  # what comes to the door may be anything, and a sentence says what is wrong with it
    Seen = Any


@dataclass(frozen=True)
class Diagnosis:
    """What an update is, and what stands in the way, the most telling first."""

    looks: tuple[str, ...]
    """What it looks like, a sentence each."""
    findings: tuple[Found, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """All of it for a reader."""
        nothing = "Nothing stands in the way that the update shows."
        return (*self.looks, *([found.sentence for found in self.findings] or [nothing]))


def diagnose(seen: Seen) -> Diagnosis:
    """What the update that a server saw is, in plain words, and what stands in the way of attacking it.

    By the update, the weights and what was told alone. Raises ``LabError`` for what is no observation.
    """
    if not isinstance(seen, Observation):
        raise LabError(f"seen = {quoted(seen)} is no observation; give what lab.observe(model, update, ...) returns.")
    case = Case(seen)
    kinds = sorted((entry() for entry in entries("finding").values() if issubclass(entry, Finding)), key=lambda one: one.place)
    return Diagnosis(_looks(case), tuple(_findings(kinds, case)))


def _findings(kinds: list[Finding], case: Case) -> Iterator[Found]:
    """All that there are, up to one that hides what comes after it; layers called as the model's owner calls them."""
    for kind in kinds:
        found = kind.look(case)
        if found is not None:
            yield replace(found, sentence=case.seen.as_given(found.sentence))
            if kind.hides_others:
                return


def _looks(case: Case) -> tuple[str, ...]:
    count, fit, noise = pictures_of(case), fitted(case), noise_share(case)
    told = f"{case.pictures} picture{'s' if case.pictures > 1 else ''}"
    said = [f"Told: {case.seen.protocol.name}, {told}; {len(case.sent)} tensors with {len(case.numbers):,} numbers."]
    if case.seen.classes == 1:
        said.append("The network has one logit, so each picture's label is a yes (class 1) or a no (class 0).")
    if count is not None:
        said.append(f"It looks like {count} picture{'s' if count > 1 else ''}.")
    if fit is not None:
        what = "a gradient" if (fit.factor > 0) is (case.seen.protocol.name == "fedsgd") else "a change of weights"
        times = rounded(abs(fit.factor), 3)
        said.append(f"As told, it looks like {what}, {times} times as long as the mean over the pictures.")
    if noise is not None:
        said.append(f"At most {percent(noise)} of it is noise.")
    return tuple(said)
