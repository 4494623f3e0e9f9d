"""What is told of a state: its scores where the truth is known, and where nobody knows it what the update itself says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab import AttackState, Round, Scores
    from lab.evaluation.evidence import Evidence
    from lab.evaluation.round import RoundWithoutTruth

NOT_YET = "Not judged yet"


@dataclass(frozen=True)
class Judged:
    """The judgement of a state as a frame holds it."""

    verdict: str
    line_up: str
    measures: dict[str, float] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)
    suspects: list[float] = field(default_factory=list)
    """Likeness to each input of the line-up, where one is sought."""


def judged(attacked: Round | RoundWithoutTruth, state: AttackState, told: Evidence | None) -> Judged:
    """By the truth; without one by the evidence, which is there at the end."""
    from lab.evaluation.round import RoundWithoutTruth

    if isinstance(attacked, RoundWithoutTruth):
        return _by_evidence(told)
    from lab import score

    return _by_truth(score(attacked, state), attacked, state)


def evidence_at_the_end(attacked: Round | RoundWithoutTruth, state: AttackState) -> Evidence | None:
    """What speaks for the last state of an attack on an update whose truth nobody knows; computed on the worker's thread."""
    from lab.evaluation.evidence import evidence
    from lab.evaluation.round import RoundWithoutTruth

    return (
        evidence(attacked.observation, state) if isinstance(attacked, RoundWithoutTruth) and state.outcome is not None else None
    )


def _by_truth(scores: Scores, attacked: Round, state: AttackState) -> Judged:
    from lab.evaluation.reconstructions import line_up_likeness
    from lab.modalities.base import modality_of

    told = modality_of(attacked.observation.modality).thresholds.told(scores.line_up_rank, scores.likeness)
    return Judged(
        verdict=scores.verdict.value,
        line_up=f"{told} of {scores.line_up_size} in the line-up",
        measures=dict(scores.measures),
        numbers=scores.plain(),
        suspects=line_up_likeness(attacked, state) if attacked.observation.batch_size == 1 else [],
    )


def _by_evidence(told: Evidence | None) -> Judged:
    from lab.options.words import percent

    if told is None:
        return Judged(NOT_YET, "nobody here knows the truth")
    left = "no residual" if told.residual is None else f"{percent(told.residual)} left unexplained"
    return Judged(told.belief.title, left, numbers=told.plain() | {"sentences": list(told.sentences)})
