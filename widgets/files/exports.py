"""What a reader takes home: the picture, the replay, the whole run; made in memory, saved by the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from widgets.files import run_file
from widgets.run.frames import pixels, tiled
from widgets.run.history import PastRun

if TYPE_CHECKING:
    from torch import Tensor

    from lab import Round
    from lab.evaluation.round import RoundWithoutTruth

KINDS = {"png": "image/png", "gif": "image/gif", "json": "application/json"}


def export(kind: str, run: PastRun, attacked: Round | RoundWithoutTruth) -> bytes:
    """The run as a file of a kind of ``KINDS``: secret, where it is known, beside reconstruction, replay, or everything."""
    from lab import LabError, Round
    from lab.federated.tensors import IMAGES
    from lab.modalities.images.sheets import comparison, replay

    if run.frames[-1].inputs != IMAGES:
        raise LabError(f"A run on {run.experiment.modality.many} cannot be saved here; gradlab run --out FOLDER keeps one.")
    if kind == "json":
        return run_file.to_bytes(run)
    if kind == "gif":
        return replay([_batch(frame.image) for frame in run.frames])
    last = run.frames[-1]
    if not isinstance(attacked, Round):
        return small(last.image)
    return comparison(_batch(_paired(attacked, last.numbers)), _batch(last.image))


def small(image: np.ndarray) -> bytes:
    """One picture (height, width, 3) of bytes as a PNG, as small as it is."""
    from lab.modalities.images.codec import encode_png

    return encode_png(_batch(image)[0])


def _paired(attacked: Round, numbers: dict[str, Any]) -> np.ndarray:
    """The private pictures as one, each where its reconstruction stands."""
    truth = pixels(attacked.batch.images)
    places = [picture["matched"] for picture in numbers.get("pictures", ())]
    return tiled(truth[np.argsort(places)] if len(places) == len(truth) else truth)


def _batch(image: np.ndarray) -> Tensor:
    """One picture (height, width, 3) of bytes as a batch of one with pixels in [0, 1]."""
    import torch

    return torch.from_numpy(image.copy()).permute(2, 0, 1).float().div(255)[None]
