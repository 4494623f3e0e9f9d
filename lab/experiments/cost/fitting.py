"""Whether a network can take pictures of a size at all, and a machine the network that this makes: told before anything is."""

from __future__ import annotations

from lab.errors import LabError
from lab.experiments.cost.memory import BYTES
from lab.experiments.cost.network_profile import profile_of
from lab.experiments.experiment import Experiment
from lab.machine import resources
from lab.options.words import rounded

COPIES = 2
"""Of the weights: they, and an update as large."""
GB = 1e9


def check_size(experiment: Experiment) -> None:
    """Raise ``LabError`` where pictures are too small for a layer, or what takes them too large for this machine's memory."""
    if not experiment.takes_pictures:
        return
    experiment.check_format()
    wanted, had = COPIES * BYTES * _weights(experiment), resources.memory()
    if wanted > had:
        height, width = experiment.sides
        raise LabError(
            f"With pictures of {height} x {width} pixels this network and its update take {rounded(wanted / GB, 2)} GB, and "
            f"this machine has {rounded(had / GB, 2)}; choose smaller pictures, or a narrower network."
        )


def _weights(experiment: Experiment) -> int:
    """How many numbers the network has; 0 of one that somebody added and of which only running it tells."""
    try:
        return profile_of(experiment.network, experiment.input_shape, len(experiment.class_names), experiment.defences).weights
    except LabError:
        raise
    except Exception:
        return 0
