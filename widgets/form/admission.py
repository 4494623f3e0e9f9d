"""The gate: what an experiment behind a page may be made of, whoever asks for it: the form, a link, a run file.

A page is opened by strangers, and also one's own page is spoken to by other pages. So nothing that arrives names a
place of this machine (and nothing in the lab downloads unasked). What the owner's own Python has put on the page
(``Lab(dataset=...)``) stays while other things are changed. Kept free of the page: plain functions that raise ``LabError``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from widgets.door.picture_headers import declared_pixels
from widgets.form.controls import FOLDER, schema

if TYPE_CHECKING:
    from lab import Experiment, LabError
    from lab.client.datasets.inline import Inline
    from lab.experiments.edits import Patch

MAX_LETTERS, MAX_PIXELS = 16_000_000, 10_000_000
"""Of all the pictures inside an experiment: base64, and what is unpacked from it (a hundred of 224 pixels are 5 million)."""
LONGEST_VALUE = 200
ON_THE_COMMAND_LINE = "use it by gradlab run, or in Python"
FALLS = {"resnet": {"name": "resnet", "widen": 4}}
"""What a click on a network chooses where its plainest form hides the picture: from a wider ResNet it comes back whole."""


def admitted(experiment: Experiment, present: Experiment | None = None) -> Experiment:
    """The experiment itself, if it names no file, no folder but those lent by name, and no set that does not come with the lab.

    Data and weights that ``present`` has, too, name nothing new. Raises ``LabError``.
    """
    if present is None or experiment.dataset != present.dataset:
        _check_dataset(experiment)
    if present is None or experiment.weights != present.weights:
        _check_weights(experiment)
    return experiment


def edited(experiment: Experiment, patches: Iterable[Patch]) -> Experiment:
    """The experiment after several changes that the form offers. Raises ``LabError`` for the first that is not allowed."""
    return reduce(_edited, patches, experiment)


def change(session: Any, patches: Sequence[Patch]) -> str:
    """Make several of them as one change of what was asked for last; answers like ``Session.edit``."""
    return session.change(lambda experiment: edited(experiment, patches))


def _edited(experiment: Experiment, patch: Patch) -> Experiment:
    """The experiment after a change that its form offers. Raises ``LabError`` for any other."""
    from lab.errors import LabError, quoted, unknown_name
    from lab.experiments.edits import patched

    path, value = patch
    offered = [control["path"] for control in schema(experiment)]
    if path not in offered:
        raise unknown_name("control of the form", path, offered)
    if not isinstance(value, str | int | float) or (isinstance(value, str) and len(value) > LONGEST_VALUE):
        raise LabError(f"{path} = {quoted(value)} is not possible; give one number, one name, true or false.")
    if path == "network" and value in FALLS and experiment.network.name != value:
        patch = path, FALLS[str(value)]
    if path == FOLDER:
        patch = "dataset", {"name": "lent_folder", "folder": value} if value else "gallery"
    return admitted(patched(experiment, [patch]), experiment)


def _check_dataset(experiment: Experiment) -> None:
    """What ships with the lab, pictures or an update inside the experiment, and the folders that the owner lends."""
    from lab.client.datasets.inline import Inline
    from lab.client.datasets.lent_folder import LentFolder
    from lab.client.datasets.unknown import Unknown
    from lab.files.lent_folders import find

    dataset = experiment.dataset
    if dataset.is_shipped or isinstance(dataset, Unknown):  # whose bytes are counted by its own bound
        return
    if isinstance(dataset, Inline):
        _check_size(dataset)
    elif isinstance(dataset, LentFolder):
        find(dataset.folder)
    else:
        raise _refused(f"takes no pictures from {dataset.name}: they do not come with the lab")


def _check_size(own: Inline) -> None:
    """All pictures together, counted before any is unpacked."""
    if sum(map(len, own.pictures)) > MAX_LETTERS or sum(map(_pixels, own.pictures)) > MAX_PIXELS:
        raise _refused(f"takes pictures inside an experiment up to {MAX_PIXELS // 10**6} million pixels in all")


def _pixels(text: str) -> int:
    """Of one picture in base64; none where it is no picture, which is told when it is used."""
    from lab.modalities.images.codec import FORMATS

    try:
        return declared_pixels(base64.b64decode(text, validate=True), FORMATS)
    except ValueError:  # binascii's error is one
        return 0


def _check_weights(experiment: Experiment) -> None:
    from lab.client.checkpoints.weight_paths import STAGES

    if experiment.weights and experiment.weights not in [path.name for path in STAGES.glob("*.safetensors")]:
        raise _refused("takes no weights from a file of one's own")


def _refused(why: str) -> LabError:
    from lab import LabError

    return LabError(f"A page {why}; {ON_THE_COMMAND_LINE}.")
