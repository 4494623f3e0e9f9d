"""``gradlab run`` on a round of one's own: attack what a client sent; scores only where the truth was given, too."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from lab.lazy import torch

from lab.attacks.base import Attack, AttackState, Interrupted
from lab.commands.interruption import CommandResult, interruptible
from lab.commands.running import Bar, Limits, measures_told
from lab.errors import LabError
from lab.evaluation.evidence import Evidence, evidence
from lab.evaluation.scores import Scores
from lab.evaluation.scoring import score
from lab.experiments.driving import Driven
from lab.experiments.outputs import finite, write_files
from lab.experiments.rounds import attack as attack_round
from lab.federated.inputs import first, moved_to, rows
from lab.federated.observation import Observation
from lab.federated.tensors import Inputs
from lab.machine import devices
from lab.modalities.base import modality_of


@dataclass(frozen=True, eq=False)
class Found:
    """What came out, and what speaks for it."""

    seen: Observation
    state: AttackState
    evidence: Evidence
    truth: Inputs | None
    scores: Scores | None
    seconds: float
    device: str


def run(
    seen: Observation, attack: Attack, seed: int, truth: Sequence[Path], where: str, limits: Limits, out: Path | None
) -> CommandResult:
    """Attack to its end, a limit or Ctrl-C, and write to ``out``. Raises ``LabError`` for wrong input."""
    private = _truth(seen, truth)
    seen = seen.to(devices.choose(where))
    with interruptible() as interruption:
        found = _attacked(seen, attack, seed, private, limits, lambda: interruption.asked)
        names = [] if out is None else write_files(_contents(found), out)
    return CommandResult(_summary(found, out, names), interruption.asked)


def _attacked(
    seen: Observation, attack: Attack, seed: int, truth: Inputs | None, limits: Limits, interrupted: Callable[[], bool]
) -> Found:
    began = perf_counter()
    with Bar(limits) as bar, Driven(attack_round(seen, attack, seed=seed)) as states:
        state = _last(states, bar, lambda state, seconds: interrupted() or limits.reached(state, seconds))
    scores = None if truth is None else score(state, moved_to(truth, first(state.candidate)), seen=seen)
    told = evidence(seen, state)
    return Found(seen, state, told, truth, scores, perf_counter() - began, devices.describe(seen.device, seen.network))


def _last(states: Driven, bar: Bar, enough: Callable[[AttackState, float], bool]) -> AttackState:
    """The closing state; the newest where the attack was cut short."""
    for state in states:
        bar.show(state, states.seconds)
        if state.outcome is None and enough(state, states.seconds):
            return replace(state, outcome=Interrupted.STOPPED)
    assert states.state is not None
    return states.state


def _truth(seen: Observation, files: Sequence[Path]) -> Inputs | None:
    """The private inputs, where files with them were given."""
    if not files:
        return None
    modality = modality_of(seen.modality)
    if len(files) != seen.batch_size:
        raise LabError(
            f"{len(files)} {modality.many} were given by --truth and {seen.batch_size} are sought; "
            "give --truth for each, or none."
        )
    return modality.truth_from(files, seen.input_shape)


def _summary(found: Found, out: Path | None, names: list[str]) -> str:
    """The run in a few lines for a person."""
    assert found.state.outcome is not None
    lines = [found.state.outcome.value, *filter(None, [found.state.note]), *found.evidence.sentences]
    if found.state.labels is not None:
        lines.append(f"Labels: {', '.join(map(str, found.state.labels.tolist()))}.")
    if found.scores is not None:
        lines += [f"Verdict: {found.scores.verdict.value}.", measures_told(found.scores, found.evidence.modality)]
    lines.append(f"{found.state.iteration} iterations in {found.seconds:.2f} s on {found.device}.")
    if out is not None:
        lines.append(f"Written to {out}: {', '.join(names)}.")
    return "\n".join(lines)


def _contents(found: Found) -> dict[str, bytes]:
    """Name and content of each file; ``result.json`` comes last, so that it vouches for the others."""
    modality, cpu = found.evidence.modality, torch.device("cpu")
    rebuilt = moved_to(modality.decode(found.state.candidate, found.seen), cpu)
    if found.truth is None or found.scores is None:
        files = modality.files_alone(rebuilt)
    else:
        paired = rows(rebuilt, torch.tensor([score.matched for score in found.scores.by_input], dtype=torch.long))
        files = modality.files(found.truth, paired, [])
    result = json.dumps(finite(_result(found)), indent=2, allow_nan=False) + "\n"
    return {**files, "result.json": result.encode()}


def _result(found: Found) -> dict[str, Any]:
    """The run as JSON-ready data; ``scores`` is null without a truth."""
    state, told, scores = found.state, found.evidence, found.scores
    assert state.outcome is not None
    return {
        "outcome": state.outcome.name,
        "outcome_text": state.outcome.value,
        "note": state.note,
        **told.plain(),
        "labels": None if state.labels is None else state.labels.tolist(),
        "iterations": state.iteration,
        "seconds": found.seconds,
        "device": found.device,
        "scores": None if scores is None else _scores(scores),
    }


def _scores(scores: Scores) -> dict[str, Any]:
    return {"verdict": scores.verdict.value, **scores.measures, "line_up_rank": scores.line_up_rank}
