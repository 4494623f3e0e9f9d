"""Results on disk: a small JSON file an experiment, called after the experiment itself, so that nothing counts twice."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.evaluation.scoring import control_name
from lab.experiments.experiment import Experiment
from lab.files.atomic import write_atomically
from lab.modalities.base import modality_of

Measured = tuple[dict[str, Any], bytes]
"""A result as JSON-ready data, and its picture: originals over reconstructions, as a PNG; empty where none is drawn."""

KEY_LETTERS = 16

NEEDED = {
    *("experiment", "outcome", "verdict", "labels_right", "identified", "pictures"),
    *("gradient_norm", "iterations", "seconds", "cpu_seconds"),
}


def needed(experiment: Experiment) -> set[str]:
    """What tables read of a result; a file without it was not written to its end, or by something else."""
    modality = modality_of(experiment.network.modality)
    return {*NEEDED, *modality.details, *(control_name(modality, name) for name in modality.controls), modality.main}


def key(experiment: Experiment) -> str:
    """The experiment's own name: the hash of its complete JSON, so that any change of it makes another."""
    text = json.dumps(experiment.to_plain(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LETTERS]


@dataclass(frozen=True)
class Store:
    """A folder with ``<key>.json`` for each finished experiment, and ``<key>.png`` beside it."""

    folder: Path

    def finished(self, experiment: Experiment) -> bool:
        """Whether the result is here, and whole."""
        return self.read(experiment) is not None

    def read(self, experiment: Experiment) -> dict[str, Any] | None:
        """The result; None where there is none yet, or a damaged file: a machine that lost its power loses one run, no study.

        Raises ``LabError`` where the file may not be read: measured again, it could not be kept either.
        """
        path = self._path(experiment, "json")
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError, RecursionError):
            return None
        except OSError as error:
            raise LabError(f"The result {path} cannot be read ({error.strerror}); give another folder by --out.") from None
        return found if isinstance(found, dict) and found.keys() >= needed(experiment) else None

    def picture(self, experiment: Experiment) -> Path | None:
        """The picture of a finished experiment, where one was kept."""
        path = self._path(experiment, "png")
        return path if path.is_file() else None

    def write(self, experiment: Experiment, measured: Measured) -> None:
        """Keep a result, whole or not at all; the JSON comes last and vouches for the picture. Raises ``LabError``."""
        result, picture = measured
        if picture:
            self._replace(self._path(experiment, "png"), picture)
        self._replace(self._path(experiment, "json"), (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())

    def _replace(self, path: Path, content: bytes) -> None:
        try:
            write_atomically(path, content)
        except OSError as error:
            raise LabError(f"The result {path} cannot be written ({error.strerror}); give another folder by --out.") from None

    def _path(self, experiment: Experiment, ending: str) -> Path:
        return self.folder / f"{key(experiment)}.{ending}"
