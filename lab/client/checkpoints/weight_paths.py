"""Where a file of weights lies: as its path says, in the folder of data, or among the shipped stages of trainings."""

from __future__ import annotations

import os
from glob import escape
from pathlib import Path

from lab.files import data_folder

STAGES = Path(__file__).parent / "stages"
"""Shipped weights after so many epochs of a training: ``small_convnet-epoch-1.safetensors`` and so on."""


def locate_weights(path: str) -> Path:
    """The file that ``path`` means: itself, else the like in $GRADLAB_DATA (or a folder in it), else a shipped stage.

    So an experiment can name weights without naming a machine's folders. A path that means nothing comes back as it is.
    """
    given = Path(path)
    if given.is_absolute() or os.path.isfile(given):
        return given
    data = data_folder.current()
    places = [Path(data) / path, *sorted(Path(data).glob(f"*/{escape(path)}"))] if data else []
    return next((place for place in (*places, STAGES / path) if os.path.isfile(place)), given)


def stages(network: str) -> dict[float, str]:
    """Epochs -> the name under which the shipped weights of that moment are found, earliest first."""
    names = [path.name for path in STAGES.glob(f"{network}-epoch-*.safetensors")]
    return dict(sorted((float(name.rpartition("-")[2].removesuffix(".safetensors")), name) for name in names))
