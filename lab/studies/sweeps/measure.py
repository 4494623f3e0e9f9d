"""One experiment from start to end: the task that a worker does, pure in its arguments."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import torch

from lab.attacks.base import AttackState
from lab.device import computing, describe
from lab.evaluation.round import Round
from lab.evaluation.scores import InputScore, labels_right, reconstructions, registrations, score
from lab.experiments.driving import drive
from lab.experiments.experiment import Experiment
from lab.experiments.outputs import finite
from lab.experiments.rounds import simulate_round
from lab.federated.inputs import first
from lab.federated.tensors import Images
from lab.files import data_folder
from lab.modalities.images.codec import encode_png
from lab.modalities.images.registration import Registration
from lab.studies.sweeps.provenance import fingerprint, weights_fingerprint
from lab.studies.sweeps.store import Measured

SHOWN = 4
"""So many pictures of a batch stand on the picture."""
SHOWN_SIDE = 112
"""Larger pictures are halved until they are no wider than that."""


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
    return result(experiment, attacked, last, attack.seconds, attack.cpu_seconds), picture(attacked, last)


def result(experiment: Experiment, attacked: Round, last: AttackState, seconds: float, cpu_seconds: float) -> dict[str, Any]:
    """All numbers of one experiment as JSON-ready data; null where a number is not finite."""
    scores, moved = score(attacked, last), registrations(attacked, last)
    assert last.outcome is not None
    return finite(
        {
            "experiment": experiment.to_plain(),
            "outcome": last.outcome.name,
            "outcome_text": last.outcome.value,
            "verdict": scores.verdict.value,
            "psnr_db": scores.psnr_db,
            "ssim": scores.ssim,
            "registered_psnr_db": _mean([found.psnr_db for found in moved]),
            "identified": _mean([float(found.line_up_rank == 1) for found in scores.pictures]),
            "pictures": [_one(*both) for both in zip(scores.pictures, moved, strict=True)],
            "line_up_size": scores.line_up_size,
            "grey_psnr_db": scores.grey_psnr_db,
            "mean_psnr_db": scores.mean_psnr_db,
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


def _gradient_norm(attacked: Round) -> float | None:
    """Of the mean gradient, before any defence; None where the client's steps tell none."""
    if not attacked.observation.protocol.is_linear:
        return None
    gradient = replace(attacked.observation, update=attacked.clean_update).mean_gradient()
    return math.sqrt(sum(float(tensor.square().sum()) for tensor in gradient.values()))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _one(score: InputScore, moved: Registration) -> dict[str, Any]:
    """One private picture's numbers; ``shift`` is (pixels down, pixels right)."""
    return score.plain() | {"registered_psnr_db": moved.psnr_db, "shift": [moved.down, moved.right]}


def picture(attacked: Round, last: AttackState) -> bytes:
    """The first pictures of the batch, and below them what the attack made of them."""
    true, made = (images[:SHOWN].detach().cpu() for images in (attacked.batch.images, first(reconstructions(attacked, last))))
    strips = [torch.cat(list(_small(images)), 2) for images in (true, made)]
    return encode_png(torch.cat(strips, 1))


def _small(images: Images) -> Images:
    while max(images.shape[-2:]) > SHOWN_SIDE:
        images = torch.nn.functional.avg_pool2d(images, 2)
    return images
