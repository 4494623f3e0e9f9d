"""A study's figure from its ``table.json``: HTML that asks nothing of any network, and a PNG of the same numbers.

    python -m widgets.still.study_figure FOLDER/table.json

The HTML is plotly's, with its script inside. The PNG is matplotlib's: plotly writes pictures by steering a browser
(kaleido), which a laboratory's machine need not have.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing
    from plotly.graph_objects import Figure

Study = dict[str, Any]
OURS, PAPER, GREY = "#0b7a75", "#d1495b", "#8d99ae"
NAMES = {"ours": "here (mean, 95 % interval)", "grey": "a grey picture", "listed": "the paper"}
AXES = {
    "psnr_db": "PSNR in dB (open diamonds: recalled, unverified)",
    "registered_psnr_db": "PSNR in dB after moving the picture back",
    "labels_right": "share of labels read rightly",
}
ROW = 34
"""Height of one cell in pixels."""


def read(path: Path) -> Study:
    """The content of a ``table.json``."""
    return json.loads(path.read_text(encoding="utf-8"))


def measured(study: Study) -> list[dict[str, Any]]:
    """The cells that have a number, the last one first, as both figures draw from below."""
    return [cell for cell in reversed(study["cells"]) if cell[study["main"]] is not None]


def interval(cell: dict[str, Any], main: str) -> tuple[float, float]:
    """How far the interval of the number drawn reaches to the left and to the right of its mean."""
    mean = cell[main]
    low, high = (cell[f"{main}_{end}"] for end in ("low", "high"))
    return (0.0, 0.0) if low is None else (mean - low, high - mean)


def listed(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells for which a paper gives a number."""
    return [cell for cell in cells if cell.get("paper_psnr_db", "") != ""]


def in_decibels(study: Study) -> bool:
    """Whether the figure draws a PSNR, beside which a grey picture's can stand."""
    return study["main"].endswith("psnr_db")


def axis(study: Study) -> str:
    """What the numbers drawn are."""
    return AXES.get(study["main"]) or study["axis"]


def _hover(cell: dict[str, Any]) -> str:
    likeness = f", SSIM {cell['ssim']:.3f}" if cell.get("ssim") is not None else ""
    return f"{likeness}, {cell['runs']} runs"


def interactive(study: Study) -> Figure:
    """Plotly: one row a cell, hover tells everything; a paper's number that is only recalled is an open diamond."""
    from plotly import graph_objects

    cells, main = measured(study), study["main"]
    ends = [interval(cell, main) for cell in cells]
    figure = graph_objects.Figure()
    figure.add_scatter(
        x=[cell[main] for cell in cells],
        y=[cell["cell"] for cell in cells],
        error_x={"type": "data", "arrayminus": [end[0] for end in ends], "array": [end[1] for end in ends]},
        mode="markers",
        name=NAMES["ours"],
        marker={"color": OURS, "size": 10},
        text=[_hover(cell) for cell in cells],
        hovertemplate="%{y}<br>%{x:.2f}%{text}<extra></extra>",
    )
    figure.add_scatter(
        x=[cell["grey_psnr_db"] if in_decibels(study) else None for cell in cells],
        y=[cell["cell"] for cell in cells],
        mode="markers",
        name=NAMES["grey"],
        marker={"color": GREY, "symbol": "line-ns-open", "size": 12},
    )
    theirs = listed(cells)
    figure.add_scatter(
        x=[cell["paper_psnr_db"] for cell in theirs],
        y=[cell["cell"] for cell in theirs],
        mode="markers",
        name=NAMES["listed"],
        marker={"color": PAPER, "size": 10, "symbol": [_symbol(cell) for cell in theirs]},
        text=[cell["paper_mark"] for cell in theirs],
        hovertemplate="%{x:.2f} dB, %{text}<extra></extra>",
    )
    return figure.update_layout(
        template="simple_white",
        title=study["title"],
        xaxis={"title": axis(study)},
        height=160 + ROW * len(cells),
        margin={"l": 10},
        yaxis={"automargin": True, "categoryorder": "array", "categoryarray": [cell["cell"] for cell in cells]},
    )


def _symbol(cell: dict[str, Any]) -> str:
    return "diamond" if cell["paper_mark"] == "verified" else "diamond-open"


def still(study: Study) -> Drawing:
    """Matplotlib: the same rows."""
    from matplotlib.figure import Figure as Drawing

    cells, main = measured(study), study["main"]
    drawing = Drawing(figsize=(10, 1.6 + 0.36 * len(cells)), layout="constrained", dpi=120)
    axes = drawing.add_subplot()
    places = {cell["cell"]: place for place, cell in enumerate(cells)}
    ends = list(zip(*(interval(cell, main) for cell in cells), strict=True)) if cells else None
    axes.errorbar([cell[main] for cell in cells], range(len(cells)), xerr=ends, fmt="o", color=OURS, label=NAMES["ours"])
    if in_decibels(study):
        axes.plot([cell["grey_psnr_db"] for cell in cells], range(len(cells)), "|", color=GREY, ms=12, label=NAMES["grey"])
    for kind, filled in (("verified", True), ("recalled, unverified", False)):
        theirs = [cell for cell in listed(cells) if (cell["paper_mark"] == "verified") is filled]
        axes.plot(
            [cell["paper_psnr_db"] for cell in theirs],
            [places[cell["cell"]] for cell in theirs],
            "D",
            color=PAPER,
            fillstyle="full" if filled else "none",
            label=f"{NAMES['listed']} ({kind})" if theirs else None,
        )
    axes.set_yticks(range(len(cells)), [cell["cell"] for cell in cells])
    axes.set(xlabel=axis(study).partition(" (")[0], title=study["title"])
    axes.spines[["top", "right"]].set_visible(False)
    drawing.legend(loc="outside lower center", ncols=4, frameon=False)
    return drawing


def draw(path: Path) -> None:
    """Write ``figure.html`` and ``figure.png`` beside a ``table.json``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    study = read(path)
    interactive(study).write_html(path.with_name("figure.html"), include_plotlyjs=True, full_html=True)
    FigureCanvasAgg(still(study)).print_png(str(path.with_name("figure.png")))


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
