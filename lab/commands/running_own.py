"""``gradlab run`` on a round of one's own: attack what a client sent; scores only where the truth was given, too."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from lab.late import torch

from lab import device
from lab.attacks.base import Attack, AttackState, Interrupted
from lab.commands.interruption import interruptible
from lab.commands.running import Bar, Limits, Told
from lab.errors import LabError
from lab.evaluation.evidence import Evidence, evidence
from lab.evaluation.scores import Scores, score
from lab.experiments.driving import Driven
from lab.experiments.outputs import finite, written
from lab.experiments.rounds import attack as attack_round
from lab.federated.observation import Observation
from lab.federated.tensors import Images
from lab.modalities.images.codec import encode_png, in_channels, read_picture
from lab.modalities.images.sheets import comparison, tiled


@dataclass(frozen=True, eq=False)
class Found:
    """What came out, and what speaks for it."""

    seen: Observation
    state: AttackState
    evidence: Evidence
    truth: Images | None
    scores: Scores | None
    seconds: float
    device: str


def run(
    seen: Observation, attack: Attack, seed: int, truth: Sequence[Path], where: str, limits: Limits, out: Path | None
) -> Told:
    """Attack to its end, a limit or Ctrl-C, and write to ``out``. Raises ``LabError`` for wrong input."""
    pictures = _truth(seen, truth)
    seen = seen.to(device.choose(where))
    with interruptible() as interruption:
        found = _attacked(seen, attack, seed, pictures, limits, lambda: interruption.asked)
        names = [] if out is None else written(_contents(found), out)
    return Told(_summary(found, out, names), interruption.asked)


def _attacked(
    seen: Observation, attack: Attack, seed: int, truth: Images | None, limits: Limits, interrupted: Callable[[], bool]
) -> Found:
    began = perf_counter()
    with Bar(limits) as bar, Driven(attack_round(seen, attack, seed=seed)) as states:
        state = _last(states, bar, lambda state, seconds: interrupted() or limits.reached(state, seconds))
    scores = None if truth is None else score(state, truth.to(state.images), seen=seen)
    told = evidence(seen, state)
    return Found(seen, state, told, truth, scores, perf_counter() - began, device.describe(seen.device, seen.network))


def _last(states: Driven, bar: Bar, enough: Callable[[AttackState, float], bool]) -> AttackState:
    """The closing state; the newest where the attack was cut short."""
    for state in states:
        bar.show(state, states.seconds)
        if state.outcome is None and enough(state, states.seconds):
            return replace(state, outcome=Interrupted.STOPPED)
    assert states.state is not None
    return states.state


def _truth(seen: Observation, files: Sequence[Path]) -> Images | None:
    """The private pictures, shape (batch, channels, height, width)."""
    if not files:
        return None
    channels, height, width = seen.image_shape
    if len(files) != seen.batch_size:
        raise LabError(
            f"{len(files)} pictures were given by --truth and {seen.batch_size} are sought; give --truth for each, or none."
        )
    if height != width:
        raise LabError(f"--truth is cut to a square, and the pictures sought are {height} x {width}; leave --truth out.")
    return torch.cat([in_channels(read_picture(file, height).pixels[None], channels) for file in files])


def _summary(found: Found, out: Path | None, names: list[str]) -> str:
    """The run in a few lines for a person."""
    assert found.state.outcome is not None
    lines = [found.state.outcome.value, *filter(None, [found.state.note]), *found.evidence.sentences]
    if found.state.labels is not None:
        lines.append(f"Labels: {', '.join(map(str, found.state.labels.tolist()))}.")
    if found.scores is not None:
        lines.append(
            f"Verdict: {found.scores.verdict.value}; PSNR {found.scores.psnr_db:.1f} dB, SSIM {found.scores.ssim:.3f}."
        )
    lines.append(f"{found.state.iteration} iterations in {found.seconds:.2f} s on {found.device}.")
    if out is not None:
        lines.append(f"Written to {out}: {', '.join(names)}.")
    return "\n".join(lines)


def _contents(found: Found) -> dict[str, bytes]:
    """Name and content of each file; ``result.json`` comes last, so that it vouches for the others."""
    rebuilt = found.state.images.detach().cpu().clamp(0, 1)
    files = {"reconstruction.png": encode_png(tiled(rebuilt))}
    if found.truth is not None and found.scores is not None:
        paired = rebuilt[[picture.matched for picture in found.scores.pictures]]
        files["comparison.png"] = comparison(found.truth, paired)
    result = json.dumps(finite(_result(found)), indent=2, allow_nan=False) + "\n"
    return files | {"result.json": result.encode()}


def _result(found: Found) -> dict[str, Any]:
    """The run as JSON-ready data; ``scores`` is null without a truth."""
    state, told, scores = found.state, found.evidence, found.scores
    assert state.outcome is not None
    return {
        "outcome": state.outcome.name,
        "outcome_text": state.outcome.value,
        "note": state.note,
        "belief": told.belief.name,
        "belief_text": told.belief.value,
        "residual": told.residual,
        "hidden": told.hidden,
        "unknowns": told.unknowns,
        "equations": told.equations,
        "roughness": told.roughness,
        "roughest_photograph": told.roughest_photograph,
        "labels": None if state.labels is None else state.labels.tolist(),
        "iterations": state.iteration,
        "seconds": found.seconds,
        "device": found.device,
        "scores": None
        if scores is None
        else {
            "verdict": scores.verdict.value,
            "psnr_db": scores.psnr_db,
            "ssim": scores.ssim,
            "line_up_rank": scores.line_up_rank,
        },
    }
