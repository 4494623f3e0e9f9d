"""Whether a network can take pictures of a size at all, and a machine the network that this makes: told before anything is."""

from __future__ import annotations

from math import inf, isfinite

from lab import device
from lab.errors import LabError
from lab.experiments.cost.memory import BYTES
from lab.experiments.cost.sketch import sketch
from lab.experiments.experiment import MOST_SIDE, Experiment

LEAST_SIDE = 8
"""Pixels: a smaller picture shows nothing."""
LEAST_STD = 1e-3
COPIES = 2
"""Of the weights: they, and an update as large."""
GB = 1e9
IMAGES = "images"


def check_size(experiment: Experiment) -> None:
    """Raise ``LabError`` where pictures are too small for a layer, or what takes them too large for this machine's memory."""
    if experiment.network.modality != IMAGES:
        return
    _check_sides(experiment)
    _check_statistics(experiment)
    wanted, had = COPIES * BYTES * _weights(experiment), device.memory()
    if wanted > had:
        height, width = experiment.sides
        raise LabError(
            f"With pictures of {height} x {width} pixels this network and its update take {wanted / GB:.2g} GB, and this "
            f"machine has {had / GB:.2g}; choose smaller pictures, or a narrower network."
        )


def _weights(experiment: Experiment) -> int:
    """How many numbers the network has; 0 of one that somebody added and of which only running it tells."""
    try:
        return sketch(
            experiment.network, experiment.input_shape, len(experiment.dataset.class_names), experiment.defences
        ).weights
    except LabError:
        raise
    except Exception:
        return 0


def _check_sides(experiment: Experiment) -> None:
    for name, side in (("image_size", experiment.image_size), ("image_width", experiment.image_width)):
        if 0 < side < LEAST_SIDE:
            raise LabError(f"{name} = {side} is too small for a picture; choose 0, or {LEAST_SIDE} to {MOST_SIDE} pixels.")


def _check_statistics(experiment: Experiment) -> None:
    """Deviations are no zeros, and as many as means."""
    mean, std = experiment.mean, experiment.std
    if mean and std and len(mean) != len(std):
        raise LabError(f"mean = {[*mean]} and std = {[*std]} do not belong together; give one of each for a channel.")
    if not all(map(isfinite, mean)):
        raise LabError(f"mean = {[*mean]} is no mean; give finite numbers.")
    if not all(LEAST_STD <= deviation < inf for deviation in std):
        raise LabError(f"std = {[*std]} is no deviation: channels are divided by it; give numbers from {LEAST_STD} on.")
