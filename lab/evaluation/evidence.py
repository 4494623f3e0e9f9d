"""What speaks for a reconstruction where nobody knows the truth: what it explains, what else would, and how real it looks."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from lab.attacks.base import AttackState
from lab.errors import LabError
from lab.evaluation.truth import shipped_set
from lab.evaluation.uniqueness import null_space_share
from lab.federated.inputs import count, element_count, moved_to, rows
from lab.federated.observation import Observation
from lab.federated.tensors import Inputs, Labels
from lab.federated.updates import length
from lab.machine import threads
from lab.modalities.base import Modality, modality_of
from lab.options.words import percent, rounded
from lab.randomness import stream

REAL_INPUTS = 7
"""So many real inputs say how strange one may be."""
EXPLAINED_RESIDUAL, DOUBTFUL_NULL_SHARE = 0.3, 0.45
"""Up to which residual a reconstruction explains an update; beyond which hidden share it is doubted."""
TINY = 1e-30


class Assessment(Enum):
    """What the evidence comes to: in few words, and in the sentence that the reader sees, of an input of its kind."""

    EXPLAINED = (
        "Explains it",
        "The {one} explains what was sent, and one that is much different would not: it is to be believed.",
    )
    OPEN = (
        "Explains it, as others do",
        "The {one} explains what was sent, but so would others that differ from it: only its gist is to be believed.",
    )
    UNNATURAL = (
        "Too rough to believe",
        "The {one} explains what was sent, but {doubted}: the details are not to be believed.",
    )
    UNEXPLAINED = (
        "Does not explain it",
        "The {one} does not explain what was sent, so it is not to be believed; gradlab diagnose may tell why.",
    )
    UNTESTED = (
        "Explains it, perhaps as others do",
        "The {one} explains what was sent; whether another would, too, cannot be told of this model.",
    )
    NOTHING_SENT = (
        "Nothing was sent",
        "Every shared number is zero, so nothing speaks for the {one} or against it.",
    )
    UNKNOWN = (
        "Nothing tells",
        "Nothing tells whether the {one} explains what was sent: the attack found no labels to send it with.",
    )

    def __init__(self, title: str, sentence: str) -> None:
        self.title, self.sentence = title, sentence


@dataclass(frozen=True)
class Evidence:
    """What a reconstruction leaves unexplained and open, what each is held against, and the sentence that sums them up."""

    modality: Modality
    belief: Assessment
    residual: float | None
    """The share of the update that the reconstruction's own leaves unexplained; 1 is what none at all leaves."""
    hidden: float | None
    """Of a random change by a tenth, the share that would leave as little unexplained."""
    unknowns: int
    equations: int
    """Numbers sought, and numbers sent."""
    strangeness: float | None
    strangest_real: float | None
    """That of the reconstruction, and the largest of some real inputs; None where the modality knows no such number."""

    @property
    def summary(self) -> str:
        """The one sentence."""
        realism = self.modality.realism
        return self.belief.sentence.format(one=self.modality.one, doubted="" if realism is None else realism.doubted)

    @property
    def sentences(self) -> tuple[str, ...]:
        """For a reader."""
        told, modality = [self.summary], self.modality
        if self.residual is not None:
            told.append(f"Residual: its own update leaves {rounded(100 * self.residual, 3)} % of the one sent unexplained.")
        if self.hidden is not None:
            told.append(
                f"Uniqueness: {percent(self.hidden)} of a random change of the {modality.one} by a tenth would leave as "
                f"little; {self.equations:,} numbers tell of {self.unknowns:,} {modality.unknowns}."
            )
        if modality.realism is not None and self.strangeness is not None and self.strangest_real is not None:
            clause = modality.realism.told.format(
                found=percent(self.strangeness), usual=percent(self.strangest_real), count=REAL_INPUTS
            )
            told.append(f"Realism: {clause}.")
        return tuple(told)

    def plain(self) -> dict[str, Any]:
        """Everything as plain data."""
        own = {name: value for name, value in vars(self).items() if name not in ("modality", "belief")}
        return {"belief": self.belief.name, "belief_text": self.summary, **own}


def evidence(seen: Observation, state: AttackState) -> Evidence:
    """What the attack's own numbers say of its reconstruction; needs no truth."""
    modality = modality_of(seen.modality)
    candidate = modality.inside(moved_to(state.candidate, next(iter(seen.update.values()))))
    labels = seen.labels if state.labels is None else state.labels.to(seen.device)
    residual = hidden = None
    if labels is not None and len(labels) == count(candidate) and not seen.tells_nothing:
        with threads.computing(threads.threads_for(seen.network)):
            residual = _residual(seen, candidate, labels)
            with suppress(LabError):  # of a model that torch derives but once
                hidden = null_space_share(seen, candidate, labels, residual)
    strange, usual = _strangeness(modality, seen, candidate)
    equations = sum(tensor.numel() for tensor in seen.update.values())
    unknowns = element_count(candidate)
    belief = _belief(residual, hidden, fewer=equations < unknowns, strange=_is_strange(modality, strange, usual))
    return Evidence(
        modality=modality,
        belief=Assessment.NOTHING_SENT if seen.tells_nothing else belief,
        residual=residual,
        hidden=hidden,
        unknowns=unknowns,
        equations=equations,
        strangeness=strange,
        strangest_real=usual,
    )


def _belief(residual: float | None, hidden: float | None, *, fewer: bool, strange: bool) -> Assessment:
    if residual is None:
        return Assessment.UNKNOWN
    if not residual <= EXPLAINED_RESIDUAL:
        return Assessment.UNEXPLAINED
    if strange:
        return Assessment.UNNATURAL
    if hidden is None:
        return Assessment.UNTESTED
    return Assessment.OPEN if fewer or hidden > DOUBTFUL_NULL_SHARE else Assessment.EXPLAINED


def _residual(seen: Observation, candidate: Inputs, labels: Labels) -> float:
    """The share of the update that these inputs' own leaves unexplained."""
    sent = seen.protocol.update(seen.network, candidate, labels)
    left = {name: tensor - sent[name] for name, tensor in seen.update.items()}
    return float(length(left) / length(seen.update).clamp_min(TINY))


def _strangeness(modality: Modality, seen: Observation, candidate: Inputs) -> tuple[float | None, float | None]:
    """Of the reconstruction, and of the strangest of some real inputs in its form."""
    if modality.realism is None:
        return None, None
    found = modality.decode(candidate, seen)
    real = modality.alike(shipped_set(modality).decoys(found, REAL_INPUTS, stream(0, "photographs to compare with")), found)
    measured = modality.realism.strangeness
    return measured(found), max(measured(rows(real, slice(one, one + 1))) for one in range(REAL_INPUTS))


def _is_strange(modality: Modality, found: float | None, usual: float | None) -> bool:
    if modality.realism is None or found is None or usual is None:
        return False
    return found > modality.realism.factor * max(usual, TINY)
