"""Several stored runs in one plotly figure: what ``gradlab run --out`` left behind, side by side."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PANELS = (("objective", "objective", "log"), ("psnr_db", "PSNR in dB", "linear"))
"""Column of history.csv, title, kind of axis."""


def compare(folders: Iterable[str | Path]) -> Figure:
    """Objective and PSNR over the iterations of each run, one colour a run, one figure with two panels.

    ``folders`` are output folders of ``gradlab run``. Raises ``LabError`` where one holds no history.
    """
    from plotly import graph_objects
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=1, cols=2, subplot_titles=[title for _, title, _ in PANELS])
    for index, folder in enumerate(map(Path, folders)):
        rows = history(folder)
        colour = qualitative.Safe[index % len(qualitative.Safe)]
        for column, (name, _, _) in enumerate(PANELS, start=1):
            line = graph_objects.Scatter(
                x=[int(row["iteration"]) for row in rows if row[name]],
                y=[float(row[name]) for row in rows if row[name]],
                name=folder.name,
                legendgroup=str(index),
                showlegend=column == 1,
                line={"color": colour},
            )
            figure.add_trace(line, row=1, col=column)
    for column, (_, _, kind) in enumerate(PANELS, start=1):
        figure.update_yaxes(type=kind, row=1, col=column)
    return figure.update_xaxes(title="iteration").update_layout(template="simple_white", height=360)


def history(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's history.csv."""
    from lab import LabError

    try:
        with (folder / "history.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError:
        raise LabError(f"There is no history of a run in {folder}; give a folder that 'gradlab run --out' made.") from None
