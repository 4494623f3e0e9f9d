"""One experiment from start to end: the task that a worker does, pure in its arguments."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from lab.attacks.base import AttackState
from lab.errors import LabError
from lab.evaluation.label_scores import labels_right
from lab.evaluation.reconstructions import reconstructions
from lab.evaluation.round import Round
from lab.evaluation.scoring import score
from lab.experiments.driving import drive
from lab.experiments.experiment import Experiment
from lab.experiments.outputs import finite
from lab.experiments.rounds import simulate_round
from lab.federated.inputs import as_mapping, count, shape_of, spoken_shape
from lab.files import data_folder
from lab.machine.devices import describe
from lab.machine.threads import computing
from lab.modalities.base import modality_of
from lab.studies.sweeps.provenance import fingerprint, weights_fingerprint
from lab.studies.sweeps.store import Measured


def measure(plain: dict[str, Any], data: str = "") -> Measured:
    """Simulate, attack and score; ``data`` is the folder of data sets and weights, "" for what the machine has set.

    Everything random comes from the experiment's seed, so a repetition gives the same result but for the seconds.
    Raises ``LabError`` where pictures or weights cannot be had.
    """
    with data_folder.given(data), computing(1):  # a sweep runs as many workers as there are cores to use
        return _measured(Experiment.from_plain(plain))


def _measured(experiment: Experiment) -> Measured:
    attacked = simulate_round(experiment)
    with drive(experiment, attacked.observation) as attack:
        last = attack.finish()
    _check(experiment, attacked, last)
    modality = modality_of(attacked.observation.modality)
    sheet = modality.sheet(attacked.batch.inputs, reconstructions(attacked, last))
    return result(experiment, attacked, last, attack.seconds, attack.cpu_seconds), sheet


def result(experiment: Experiment, attacked: Round, last: AttackState, seconds: float, cpu_seconds: float) -> dict[str, Any]:
    """All numbers of one experiment as JSON-ready data; null where a number is not finite."""
    scores, modality = score(attacked, last), modality_of(attacked.observation.modality)
    details = modality.detail(attacked.batch.inputs, reconstructions(attacked, last))
    assert last.outcome is not None
    return finite(
        {
            "experiment": experiment.to_plain(),
            "outcome": last.outcome.name,
            "outcome_text": last.outcome.value,
            "verdict": scores.verdict.value,
            **scores.measures,
            **{name: _mean([detail[name] for detail in details]) for name in modality.details},
            "identified": _mean([float(found.line_up_rank == 1) for found in scores.by_input]),
            "pictures": [{**one.plain(), **detail} for one, detail in zip(scores.by_input, details, strict=True)],
            "line_up_size": scores.line_up_size,
            **scores.controls,
            "labels_right": labels_right(attacked, last),
            "max_abs_error": scores.max_abs_error,
            "objective": last.objective,
            "iterations": last.iteration,
            "gradient_norm": _gradient_norm(attacked),
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "device": describe(attacked.observation.device, attacked.observation.network),
            "fingerprint": fingerprint(attacked.batch),
            **({"weights_fingerprint": weights_fingerprint(attacked.observation.network)} if experiment.trained else {}),
            "versions": {name: version(name) for name in ("inverting-gradients-lab", "torch")},
        }
    )


def _check(experiment: Experiment, attacked: Round, last: AttackState) -> None:
    """Raise ``LabError`` for an answer that cannot be scored."""
    sought, name = attacked.observation, experiment.attack.name
    if last.outcome is None:
        raise LabError(f"The attack {name} ended without an outcome; let its last state say how it ended.")
    found = (count(last.candidate), shape_of(last.candidate))
    if found != (sought.batch_size, sought.input_shape):
        raise LabError(
            f"The attack {name} answered {count(last.candidate)} of the shape {spoken_shape(last.candidate)}, where "
            f"{sought.batch_size} of {sought.input_shape} are sought; let it answer those."
        )
    if not all(bool(tensor.isfinite().all()) for tensor in as_mapping(last.candidate).values()):
        raise LabError(f"The attack {name} answered numbers that are not finite; mend it.")


def _gradient_norm(attacked: Round) -> float | None:
    """Of the mean gradient, before any defence; None where the client's steps tell none."""
    if not attacked.observation.protocol.is_linear:
        return None
    gradient = replace(attacked.observation, update=attacked.clean_update).mean_gradient()
    return math.sqrt(sum(float(tensor.square().sum()) for tensor in gradient.values()))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
