"""``gradlab run``: attack, watch the progress, write what came out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from lab.attacks.base import AttackState
from lab.client.accountant import DEFAULT_DELTA
from lab.commands.interruption import CommandResult, interruptible
from lab.commands.recording import Ended, Recording, follow
from lab.evaluation.scores import Scores
from lab.evaluation.scoring import control_name, score
from lab.experiments.driving import drive
from lab.experiments.experiment import Experiment
from lab.experiments.outputs import Finished, write_outputs
from lab.experiments.privacy_guarantees import guarantee_sentences
from lab.experiments.rounds import simulate_round
from lab.federated.inputs import first
from lab.machine import devices
from lab.modalities.base import Modality, modality_of
from lab.options.words import rounded


@dataclass(frozen=True)
class Limits:
    """When to stop asking for more; None where there is no limit."""

    seconds: float | None = None
    iteration: int | None = None

    def reached(self, state: AttackState, seconds: float) -> bool:
        """Whether this state is the last one wanted."""
        late = self.seconds is not None and seconds >= self.seconds
        return late or (self.iteration is not None and state.iteration >= self.iteration)


def run(experiment: Experiment, where: str, limits: Limits, out: Path | None, delta: float = DEFAULT_DELTA) -> CommandResult:
    """Run the attack to its end, a limit or Ctrl-C, and write to ``out``. Raises ``LabError`` for wrong input."""
    chosen = devices.choose(where)
    with interruptible() as interruption:
        finished = replace(_attack(experiment, chosen, limits, lambda: interruption.asked), delta=delta)
        written = [] if out is None else write_outputs(finished, out)
    return CommandResult(summary(finished, out, written), interruption.asked)


def _attack(experiment: Experiment, chosen: devices.torch.device, limits: Limits, interrupted: Callable[[], bool]) -> Finished:
    attacked = simulate_round(experiment, chosen)
    recording = Recording(attacked)
    with Bar(limits) as bar, drive(experiment, attacked.observation) as attack:
        ended = follow(
            attack,
            recording,
            lambda state, seconds: interrupted() or limits.reached(state, seconds),
            bar.show,
        )
    return _finished(experiment, recording, ended)


def _finished(experiment: Experiment, recording: Recording, ended: Ended) -> Finished:
    return Finished(
        experiment=experiment,
        attacked=recording.attacked,
        state=ended.state,
        scores=score(recording.attacked, ended.state),
        history=tuple(recording.history),
        frames=recording.frames(ended.state),
        iterations=ended.iterations,
        seconds=ended.seconds,
        stopped_after=ended.stopped_after,
        device=devices.describe(first(ended.state.candidate).device, recording.attacked.observation.network),
    )


class Bar:
    """The progress bar with the time left, on standard error."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.bar = tqdm(desc="attack", unit=" it", file=sys.stderr, dynamic_ncols=True)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *problem: object) -> None:
        self.bar.close()

    def show(self, state: AttackState, seconds: float) -> None:
        """Move on to this state; under a limit of seconds the total is what can be done by then."""
        self.bar.total = state.iterations
        if self.limits.seconds is not None and seconds > 0:
            self.bar.total = min(state.iterations, 1 + int(state.iteration * self.limits.seconds / seconds))
        self.bar.set_postfix(objective=f"{rounded(state.objective, 3)}", refresh=False)
        self.bar.update(state.iteration - self.bar.n)


def summary(finished: Finished, out: Path | None, written: list[str]) -> str:
    """The run in a few lines for a person."""
    assert finished.state.outcome is not None
    scores, modality = finished.scores, modality_of(finished.attacked.observation.modality)
    lines = [
        finished.state.outcome.value,
        *filter(None, [finished.state.note]),
        f"Verdict: {scores.verdict.value}, {_places(scores, modality)} in the line-up.",
        measures_told(scores, modality),
    ]
    if scores.label_accuracy is not None:
        lines.append(f"Labels recovered: {100 * scores.label_accuracy:.0f} %.")
    if scores.max_abs_error is not None:
        lines.append(f"The largest error of the input read off by algebra is {rounded(scores.max_abs_error, 2)}.")
    lines += guarantee_sentences(finished.experiment, finished.delta)
    lines.append(
        f"{finished.iterations} iterations in {finished.seconds:.2f} s ({finished.iterations_per_second:.1f} a second) "
        f"on {finished.device}."
    )
    lines += finished.attacked.batch.notes
    if out is not None:
        lines.append(f"Written to {out}: {', '.join(written)}.")
    return "\n".join(lines)


def measures_told(scores: Scores, modality: Modality) -> str:
    """Each measure, the main one beside what knowing nothing scores: "PSNR 21.3 dB (a grey picture gets 11.1 dB)"."""
    main = modality.measures[modality.main]
    named = [(spoken, scores.controls[control_name(modality, name)]) for name, spoken in modality.controls.items()]
    first, *others = [f"{spoken} gets {main.told(value)}" for spoken, value in named]
    controls = ", ".join([first, *(other.replace(" gets ", " ") for other in others)])
    beside = [
        f"{measure.title} {measure.told(scores.measures[name])}"
        for name, measure in modality.measures.items()
        if measure.in_summary and name != modality.main
    ]
    return f"{', '.join([f'{main.title} {main.told(scores.measures[modality.main])} ({controls})', *beside])}."


def _places(scores: Scores, modality: Modality) -> str:
    """The place of each private input: "1st of 8", or "1st, 1st, 3rd of 8"."""
    told = modality.thresholds.told
    places = [told(picture.line_up_rank, picture.likeness) for picture in scores.by_input]
    return f"{', '.join(places)} of {scores.line_up_size}"
