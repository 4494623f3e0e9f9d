"""From what was typed to an ``Experiment``: a preset or a file first, then each flag over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.client import checkpoints
from lab.client.datasets.inline import Inline
from lab.client.defences.base import Defence
from lab.errors import LabError, quoted
from lab.experiments.edits import Patch, parse_patch, patched
from lab.experiments.experiment import Experiment, read_json
from lab.experiments.presets import find_preset
from lab.federated.protocols.fedavg import FedAvg
from lab.modalities.images.codec import read_bytes
from lab.options.text import parse_entry


@dataclass(frozen=True)
class Choices:
    """The options of ``gradlab run`` that say what is run; None (or nothing) where a flag was not given."""

    preset: str | None = None
    experiment: Path | None = None
    dataset: str | None = None
    images: Sequence[Path] = ()
    labels_of_images: Sequence[int] = ()
    network: str | None = None
    trained: bool | None = None
    weights: Path | None = None
    attack: str | None = None
    defences: Sequence[str] = ()
    protocol: str | None = None
    epsilon: float | None = None
    delta: float | None = None
    edits: Sequence[Patch] = ()
    """Further flags by the name of their patch; None where one was not given."""


@dataclass(frozen=True)
class OwnFlags:
    """The options of ``gradlab run`` that tell of a round of one's own, as typed; ``lab.commands.choosing_own`` reads them."""

    model: str | None = None
    update: Path | None = None
    like: str | None = None
    mean: str | None = None
    std: str | None = None
    truth: tuple[Path, ...] = ()


def choose(choices: Choices) -> Experiment:
    """The experiment that the choices describe. Raises ``LabError`` for anything wrong in them."""
    return choose_from(_starting_point(choices), choices)


def choose_from(start: Experiment, choices: Choices) -> Experiment:
    """What the flags make of an experiment. Raises ``LabError``."""
    patches = _patches(choices)
    _check_local(start, dict(patches))
    chosen = patched(start, patches)
    pictures = _pictures(chosen, choices)
    return patched(start, [*patches, *pictures]) if pictures else chosen


def sides(text: str | None) -> list[Patch]:
    """What ``28`` or ``178x218`` (height, then width) says of the pictures. Raises ``LabError`` for anything else."""
    if text is None:
        return []
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        raise LabError(f"--size {quoted(text)} is no size; give pixels a side such as 28, or height and width such as 178x218.")
    return [("image_size", int(parts[0])), ("image_width", int(parts[1]) if len(parts) == 2 else 0)]


def _starting_point(choices: Choices) -> Experiment:
    if choices.preset is not None and choices.experiment is not None:
        raise LabError("--preset and --experiment both say where to start; give one of the two.")
    if choices.preset is not None:
        return find_preset(choices.preset).experiment
    return Experiment() if choices.experiment is None else Experiment.from_file(choices.experiment)


def _patches(choices: Choices) -> list[Patch]:
    """What the flags change; each named entry starts from its own defaults."""
    named = {"dataset": choices.dataset, "network": choices.network, "protocol": choices.protocol, "attack": choices.attack}
    entries = [parse_patch(path, text) for path, text in named.items() if text is not None]
    defences = [("defences", [parse_entry(Defence, text) for text in choices.defences])] if choices.defences else []
    given = [patch for patch in choices.edits if patch[1] is not None]
    return [*entries, *defences, *_weights(choices), *given]


def _weights(choices: Choices) -> list[Patch]:
    """Whether and where trained weights come from; a file of weights is meant to be used."""
    if choices.weights is not None and choices.trained is False:
        raise LabError("--weights gives trained weights and --untrained asks for none; give one of the two.")
    if choices.weights is not None:
        return [("trained", True), ("weights", str(choices.weights))]
    return [] if choices.trained is None else [("trained", choices.trained)]


def _check_local(start: Experiment, given: dict[str, Any]) -> None:
    """Local batch and rate say nothing where the client takes no local step."""
    averages = given["local_steps"] != 0 if "local_steps" in given else _is_fedavg(given.get("protocol", start.protocol))
    for path in ("local_batch_size", "local_lr"):
        if path in given and not averages:
            flag = "--" + path.replace("_", "-")
            raise LabError(f"{flag} has no meaning without local steps; give --local-steps N, N from 1 to 1000, as well.")


def _is_fedavg(protocol: Any) -> bool:
    """Of an option, or of its plain data."""
    return isinstance(protocol, FedAvg) or (isinstance(protocol, dict) and protocol.get("name") == FedAvg.name)


def _pictures(experiment: Experiment, choices: Choices) -> list[Patch]:
    """The user's own pictures, which then travel inside the experiment; none where none were given."""
    paths, labels = list(choices.images), list(choices.labels_of_images)
    if not paths and not labels:
        return []
    _check_pictures(choices, len(paths), len(labels))
    files = [(read_bytes(path), str(path)) for path in paths]
    classes = checkpoints.classes(experiment.network, experiment.weights if experiment.trained else "")
    own = Inline.from_bytes(files, experiment.size, labels, classes)
    return [("dataset", own), ("batch_size", len(paths))]


def _check_pictures(choices: Choices, pictures: int, labels: int) -> None:
    batch = dict(choices.edits).get("batch_size")
    if pictures == 0:
        raise LabError("--label names the class of a picture given by --image; give --image PATH as well.")
    if choices.dataset is not None:
        raise LabError("--image and --dataset both say where the pictures come from; give one of the two.")
    if labels not in (0, pictures):
        raise LabError(
            f"{pictures} pictures and {labels} labels were given; give one --label for each --image, or none at all."
        )
    if batch is not None and batch != pictures:
        raise LabError(f"--batch {batch} does not fit {pictures} pictures given by --image; leave --batch out.")


def check_available(experiment: Experiment) -> None:
    """Raise ``LabError`` where pictures or weights are not on this machine, before anything is there to compute with."""
    experiment.dataset.check_available(experiment.batch_size, experiment.size)
    if experiment.trained:
        checkpoints.check_available(experiment.network, experiment.weights)


def stopped_after(path: Path) -> int | None:
    """Where the run behind a ``result.json`` was cut short, so that repeating it ends there too."""
    data = read_json(path)
    after = data.get("stopped_after") if "experiment" in data else None
    if after is not None and (not isinstance(after, int) or after < 0):
        raise LabError(f"stopped_after = {quoted(after)} in {path} must be a whole number from 0 on, or null.")
    return after
