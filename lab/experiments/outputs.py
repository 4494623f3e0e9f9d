"""What an attack leaves behind in a folder: ``result.json``, the history, and the files of its modality (pictures, a film)."""

from __future__ import annotations

import csv
import io
import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lab.lazy import Tensor, torch

from lab.attacks.base import AttackState
from lab.client.accountant import DEFAULT_DELTA
from lab.errors import LabError
from lab.evaluation.layers import layer_scores
from lab.evaluation.reconstructions import decoded
from lab.evaluation.round import Round
from lab.evaluation.scores import Scores
from lab.experiments.experiment import Experiment
from lab.experiments.privacy_guarantees import guarantees_as_data
from lab.experiments.references import citation
from lab.federated.inputs import moved_to, rows
from lab.federated.tensors import Inputs
from lab.files.atomic import write_all
from lab.modalities.base import Modality, modality_of
from lab.options.data import is_list, is_object


@dataclass(frozen=True)
class HistoryRow:
    """One iteration in numbers: a row of ``history.csv``."""

    restart: int
    iteration: int
    objective: float
    terms: Mapping[str, float]
    seconds: float
    """Time of the attack alone, since its start."""
    measured: float | None
    """The modality's main measure, mean over the batch, at the states that were kept as a frame."""


@dataclass(frozen=True, eq=False)
class Finished:
    """An attack that ended, in whatever way, with all that is known about it."""

    experiment: Experiment
    attacked: Round
    state: AttackState
    """The candidate that counts; its outcome says how the attack ended."""
    scores: Scores
    history: tuple[HistoryRow, ...]
    frames: tuple[Inputs, ...]
    """Kept candidates in order, decoded, and packed as their modality does."""
    iterations: int
    seconds: float
    stopped_after: int | None
    """The iteration at which the attack was cut short; None where it ran to its own end."""
    device: str
    delta: float = DEFAULT_DELTA
    """The chance for which epsilon is told."""

    @property
    def outcome(self) -> str:
        """The outcome's name."""
        assert self.state.outcome is not None
        return self.state.outcome.name

    @property
    def pairing(self) -> Tensor:
        """For each private input the place of its reconstruction in the candidate."""
        return torch.tensor([score.matched for score in self.scores.by_input], dtype=torch.long)

    @property
    def modality(self) -> Modality:
        """What the inputs are."""
        return modality_of(self.attacked.observation.modality)

    @property
    def iterations_per_second(self) -> float:
        """Iterations over seconds of attack."""
        return self.iterations / max(self.seconds, 1e-9)


def ready_folder(folder: Path) -> None:
    """Make the folder if need be and try it out. Raises ``LabError`` where nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from None


def write_outputs(finished: Finished, folder: Path) -> list[str]:
    """Write all that an attack leaves behind; returns the files' names. Raises ``LabError``."""
    return write_files(files_of(finished), folder)


def write_files(files: Mapping[str, bytes], folder: Path) -> list[str]:
    """Write every file, each whole or not at all; returns their names. Raises ``LabError``."""
    try:
        write_all(files, folder)
    except OSError as error:
        raise _unwritable(folder, error) from None
    return list(files)


def _unwritable(folder: Path, error: OSError) -> LabError:
    reason = error.strerror or type(error).__name__
    return LabError(f"The output folder {folder} cannot be written ({reason}); give another folder by --out.")


def files_of(finished: Finished) -> dict[str, bytes]:
    """Name and content of each file; ``result.json`` comes last, so that it vouches for the others."""
    modality, cpu = finished.modality, torch.device("cpu")
    original = moved_to(finished.attacked.batch.inputs, cpu)
    rebuilt = rows(moved_to(decoded(finished.attacked, finished.state), cpu), finished.pairing)
    frames = [rows(modality.unpacked(frame), finished.pairing) for frame in finished.frames]
    return {
        **modality.files(original, rebuilt, frames),
        "history.csv": history_csv(finished.history, modality.main).encode(),
        "result.json": (json.dumps(result(finished), indent=2, allow_nan=False) + "\n").encode(),
    }


def history_csv(history: tuple[HistoryRow, ...], measure: str) -> str:
    """One row an iteration; the terms of the objective have a column each, and so has the modality's main measure."""
    terms = list(dict.fromkeys(name for moment in history for name in moment.terms))
    file = io.StringIO()
    written = csv.writer(file, lineterminator="\n")
    written.writerow(["restart", "iteration", "objective", *terms, "seconds", measure])
    for moment in history:
        values = [moment.terms.get(name, "") for name in terms]
        measured = "" if moment.measured is None else moment.measured
        written.writerow([moment.restart, moment.iteration, moment.objective, *values, moment.seconds, measured])
    return file.getvalue()


def result(finished: Finished) -> dict[str, Any]:
    """The run as JSON-ready data; ``experiment`` fed back reproduces it. Numbers that are not finite are null.

    ``layers`` holds what ``--attack recursive`` undid, top to bottom (empty for other attacks), an object a layer
    with the fields of ``LayerScore``: name, kind, unknowns, equations, rank (how many unknowns its own equations
    tell), condition, residual ||A x - b|| / ||b||, and error ||recovered - true|| / ||true|| against the truth.
    ``privacy`` holds what differential privacy promises, an object a promise (empty without one): for one of ``whose``
    (example, client) against a server that sees ``seen``, epsilon (null where nothing is promised) at ``delta``, what was
    accounted (``multiplier``, ``rate``, ``steps``), what is taken for granted (``assumed``), and all of it as it is ``told``.
    """
    scores, state = finished.scores, finished.state
    assert state.outcome is not None
    return finite(
        {
            "experiment": finished.experiment.to_plain(),
            "outcome": finished.outcome,
            "outcome_text": state.outcome.value,
            "verdict": scores.verdict.value,
            "privacy": guarantees_as_data(finished.experiment, finished.delta),
            "notes": list(finished.attacked.batch.notes),
            "device": finished.device,
            "iterations": finished.iterations,
            "seconds": finished.seconds,
            "iterations_per_second": finished.iterations_per_second,
            "stopped_after": finished.stopped_after,
            "objective": state.objective,
            "best_restart": state.restart,
            "scores": [score.plain() | {"line_up_size": scores.line_up_size} for score in scores.by_input],
            "label_accuracy": scores.label_accuracy,
            "controls": dict(scores.controls),
            "max_abs_error": scores.max_abs_error,
            "layers": [asdict(layer) for layer in layer_scores(finished.attacked, state)],
            "citation": [str(paper) for paper in citation(finished.experiment)],
            "versions": {name: version(name) for name in ("inverting-gradients-lab", "torch")},
        }
    )


def finite(value: Any) -> Any:
    """The same data with null where a number is not finite: JSON has no name for those."""
    if is_object(value):
        return {key: finite(item) for key, item in value.items()}
    if is_list(value):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
