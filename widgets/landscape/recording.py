"""The grids as they ship: computed on the default picture by ``python -m widgets.landscape.recording``, one core.

Beside the seconds stands the rate of the machine that took them, so that another machine can tell its own (``known``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from widgets.landscape.cells import SIDE, Cell, computed
from widgets.landscape.grids import GRIDS

FOLDER = Path(__file__).parent / "recorded"
WORDS = ("verdict", "place", "score", "seconds")


@dataclass(frozen=True, eq=False)
class Recorded:
    """A grid's cells, by row and column; None where there is none."""

    rate: float
    """Products a second of the machine (``lab.experiments.cost``)."""
    cells: dict[tuple[int, int], Cell | None]


@cache
def recorded(name: str) -> Recorded:
    """The shipped cells of a grid."""
    told = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    with np.load(FOLDER / f"{name}.npz") as arrays:
        pictures = arrays["pictures"]
    cells = {
        place: Cell(**words, picture=picture) if words else None
        for place, words, picture in zip(GRIDS[name].cells, told["cells"], pictures, strict=True)
    }
    return Recorded(told["rate"], cells)


def record(name: str) -> None:
    """Compute a grid cell by cell, and write it."""
    from lab import LabError
    from lab.experiments.cost.products import products_per_second
    from lab.machine.threads import computing

    grid, cells = GRIDS[name], list[Cell | None]()
    with computing(1):
        for row, column in grid.cells:
            try:
                cells.append(computed(grid.experiment(row, column)))
            except LabError as error:
                cells.append(None)
                sys.stdout.write(f"{error}\n")
            sys.stdout.write(f"{name} {row} {column}: {_told(cells[-1])}\n")
            sys.stdout.flush()
    _save(name, products_per_second(), cells)


def _told(cell: Cell | None) -> str:
    return "none" if cell is None else f"{cell.verdict}, {cell.place}, {cell.score}, {cell.seconds:.2f} s"


def _save(name: str, rate: float, cells: Sequence[Cell | None]) -> None:
    FOLDER.mkdir(exist_ok=True)
    words = [{word: getattr(cell, word) for word in WORDS} if cell else None for cell in cells]
    blank = np.full((SIDE, SIDE, 3), 255, dtype=np.uint8)
    np.savez_compressed(
        FOLDER / f"{name}.npz", allow_pickle=False, pictures=np.stack([c.picture if c else blank for c in cells])
    )
    text = json.dumps({"rate": rate, "cells": words}, indent=1)
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    for grid_name in sys.argv[1:] or GRIDS:
        record(grid_name)
