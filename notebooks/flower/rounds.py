"""One round of a Flower app in the environment of its own that Flower needs, seen from the lab's."""

from __future__ import annotations

import math
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lab.client.datasets.base import Dataset
from lab.client.datasets.gallery import NAMES, Gallery
from lab.errors import LabError
from lab.federated.tensors import Images, Labels
from lab.randomness import stream

ROOT = Path(__file__).parent.parent.parent
PYTHON = ROOT / "build" / "flower" / "bin" / "python"
"""Where ``make beside`` puts Flower."""
PACKAGE = "pytorchexample"
CLIENTS = 2
SIZE = 32
TOLD = 300
"""So many characters of what an app that fails says are repeated."""


@dataclass(frozen=True, eq=False)
class Sent:
    """What the clients of one round sent, and what the first of them trained on."""

    files: tuple[Path, ...]
    images: Images
    labels: Labels


def one_round(
    app: str | Path, out: Path, given: Dataset, *, batch: int = 1, count: int = 1, python: str | Path = PYTHON
) -> Sent:
    """Run one round of the app in the folder ``app``, each client with ``count`` pictures of 32 x 32 pixels of a data set.

    ``out`` is where everything that is written goes, the captures into ``sent``. Raises ``LabError`` where there is no such
    app, no Flower, or the app fails.
    """
    app, python = Path(app), Path(python)
    if not (app / PACKAGE / "client_app.py").is_file():
        raise LabError(
            f"There is no {PACKAGE}/client_app.py in {app.name or app}; get Flower's app by "
            "'build/flower/bin/flwr new @flwrlabs/quickstart-pytorch' and give its folder."
        )
    if not python.exists():
        raise LabError("Flower is not there; 'make beside' puts it into build/flower, beside the lab's own environment.")
    out.mkdir(parents=True, exist_ok=True)
    images, labels = pictures_of(given, CLIENTS * count)
    pixels = (images * 255).round().byte()
    np.savez(out / "pictures.npz", images=pixels.permute(0, 2, 3, 1).numpy(), labels=labels.numpy())
    words = [
        python.absolute(),
        ROOT / "notebooks/flower/in_process.py",
        app.resolve(),
        out / "pictures.npz",
        out / "sent",
        batch,
        count,
    ]
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"FLWR_TELEMETRY_ENABLED": "0"}
    done = subprocess.run([*map(str, words)], cwd=out, env=alone, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"The app failed: {' '.join(done.stderr.split())[-TOLD:]}")
    return Sent(tuple(sorted((out / "sent").iterdir())), pixels[:count] / 255, labels[:count])


def pictures_of(given: Dataset, count: int) -> tuple[Images, Labels]:
    """So many pictures of 32 x 32 pixels and their labels; of more than the gallery holds each of its own is cut into parts.

    Raises ``LabError`` where another set holds fewer.
    """
    parts = math.ceil(math.sqrt(count / len(NAMES))) if isinstance(given, Gallery) else 1
    loaded = given.load(math.ceil(count / parts**2), parts * SIZE, stream(0, "data"))
    rows = [row.split(SIZE, dim=3) for row in loaded.images.split(SIZE, dim=2)]
    return torch.cat([part for row in rows for part in row])[:count], loaded.labels.repeat(parts**2)[:count]
