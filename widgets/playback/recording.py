"""The shipped recording: a real default run, shown before anything is loaded."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "recorded"


@cache
def load() -> dict[str, Any]:
    """``run`` (frames, sizes, date, pixels) and ``round`` (what left the phone) as the film wants them."""
    story = json.loads((FOLDER / "default.json").read_text(encoding="utf-8"))
    with np.load(FOLDER / "default.npz") as arrays:
        run = story["run"] | {"pixels": arrays["frames"].tobytes(), "downhill": arrays["downhill"].tobytes()}
        sent = story["round"] | {name: arrays[name].tobytes() for name in ("images", "line_up", "sample")}
    return {"run": run, "round": sent}


def save(run: dict[str, Any], sent: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write the recording; among the arrays ``frames`` (count, height, width, 3) and ``downhill`` (count, height, width)."""
    FOLDER.mkdir(exist_ok=True)
    np.savez_compressed(FOLDER / "default.npz", allow_pickle=False, **arrays)
    text = json.dumps({"run": run, "round": sent}, indent=1, ensure_ascii=False)
    (FOLDER / "default.json").write_text(text + "\n", encoding="utf-8")
