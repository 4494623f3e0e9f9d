"""The scoreboard: every stored study as a table, each row with a link that opens its experiment in the lab."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipywidgets import HTML

Study = dict[str, Any]
RESULTS = Path(__file__).parent.parent.parent / "notebooks" / "results"
PAGE = "http://localhost:8866/"
"""Where ``gradlab serve`` puts the lab."""

HEADINGS = (
    "Cell (opens in the lab)",
    "The paper, PSNR",
    "Here, PSNR in dB: mean ± spread [95 % interval]",
    "Here, SSIM",
    "First in the line-up",
    "Grey picture, dB",
    "Runs",
    "CPU s",
    "Besides",
    "Scaled down",
)


def stored(folder: Path = RESULTS) -> dict[str, Study]:
    """The stored studies by name, as ``gradlab reproduce`` wrote them (``table.json``)."""
    paths = sorted(folder.glob("*.json"), key=lambda path: path.stem)
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def scoreboard(name: str = "", page: str = PAGE, folder: Path = RESULTS) -> HTML:
    """All stored studies, or the one called ``name``, one table each. Raises ``LabError`` for a name that is not there."""
    from ipywidgets import HTML

    studies = stored(folder)
    if name and name not in studies:
        from lab.errors import unknown_name

        raise unknown_name("stored study", name, studies)
    chosen = {name: studies[name]} if name else studies
    return HTML("".join(table(each, page) for each in chosen.values()))


def table(study: Study, page: str = PAGE) -> str:
    """One study as an HTML table with a caption and headings that read aloud; cells that were not run are named below it."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in HEADINGS)
    body = "".join(_row(cell, page, study["also_told"]) for cell in study["cells"] if cell["runs"])
    return (
        f'<table class="gradlab-scoreboard"><caption style="text-align:left">{_caption(study)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{_not_run(study)}"
    )


def _caption(study: Study) -> str:
    steps = study["study"]["iterations"]
    budget = f" Every attack with {steps:,} steps." if steps else ""
    seeds = study["study"]["seeds"]
    draws = f" Each picture under {seeds} draws of the weights." if seeds > 1 else ""
    return f"<strong>{escape(study['title'])}</strong>. {escape(study['paper_item'])}.{budget}{draws}"


def _not_run(study: Study) -> str:
    """The cells without a run in one sentence; nothing where all were run."""
    names = "; ".join(escape(cell["cell"]) for cell in study["cells"] if not cell["runs"])
    return f"<p>Not run: {names}.</p>" if names else ""


def _row(cell: dict[str, Any], page: str, told: list[str]) -> str:
    values = (
        paper(cell),
        estimate(cell, "psnr_db"),
        estimate(cell, "ssim"),
        "" if cell["identified"] is None else f"{100 * cell['identified']:.0f} %",
        _number(cell["grey_psnr_db"]),
        str(cell["runs"]),
        _number(cell["cpu_seconds"]),
        "; ".join(f"{name}: {_besides(cell, name)}" for name in told),
        cell["scaled_down"] or "nothing",
    )
    columns = "".join(f"<td>{escape(value)}</td>" for value in values)
    return f'<tr><th scope="row" style="text-align:left">{_linked(cell, page)}</th>{columns}</tr>'


def paper(cell: dict[str, Any]) -> str:
    """The paper's number, never without its mark."""
    if cell["paper_psnr_db"] in ("", None):
        return ""
    spread = "" if cell["paper_spread_db"] in ("", None) else f" ± {cell['paper_spread_db']:.2f}"
    return f"{cell['paper_psnr_db']:.2f}{spread} ({cell['paper_mark']})"


def estimate(cell: dict[str, Any], name: str) -> str:
    """Mean, spread and interval."""
    if cell[f"{name}_spread"] is None:
        return _number(cell[name])
    low, high = cell[f"{name}_low"], cell[f"{name}_high"]
    return f"{cell[name]:.2f} ± {cell[f'{name}_spread']:.2f} [{low:.2f}, {high:.2f}]"


def _besides(cell: dict[str, Any], name: str) -> str:
    """What a study tells in a column of its own."""
    if name == "labels right":
        return "" if cell["labels_right"] is None else f"{100 * cell['labels_right']:.0f} %"
    if name == "PSNR after moving it back":
        return estimate(cell, "registered_psnr_db")
    return _number(cell["gradient_norm"]) if name == "gradient's length" else cell["outcomes"]


def _linked(cell: dict[str, Any], page: str) -> str:
    address, lost = link(cell, page)
    if not address:
        return escape(cell["cell"])
    note = f' <span title="{escape(lost)}">*</span>' if lost else ""
    return f'<a href="{escape(address)}" target="_blank" rel="noopener">{escape(cell["cell"])}</a>{note}'


def link(cell: dict[str, Any], page: str = PAGE) -> tuple[str, str]:
    """The address that opens a row's first experiment, and what it cannot carry; both empty where nothing was run."""
    from lab.experiments import links
    from lab.experiments.experiment import Experiment

    if not cell["experiments"]:
        return "", ""
    experiment = Experiment.from_plain(cell["experiments"][0]["experiment"])
    return f"{page}?{links.write(experiment)}", links.left_out(experiment)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 10 else f"{value:.2f}"
