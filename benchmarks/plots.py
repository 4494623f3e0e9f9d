"""The report as pictures (PNG): matplotlib's file backend, which needs neither a screen nor a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.costs import BREACHING, OURS, STEP
from benchmarks.report import Report
from benchmarks.tuning import RECOGNISABLE
from lab.errors import LabError

COLOURS = {OURS: "#0b7a75", "breaching_best": "#d1495b", "breaching_default": "#8d99ae", BREACHING: "#d1495b"}
NAMES = {
    OURS: "this lab",
    BREACHING: "breaching 0.1.2",
    "breaching_best": "breaching, best setting",
    "breaching_default": "breaching, default",
}


def draw(report: Report, folder: Path) -> list[Path]:
    """All plots that the report has figures for. Raises ``LabError`` where the folder cannot be written."""
    figures: dict[str, Figure] = {}
    costs = [case for case in report["cases"] if "costs" in case]
    if costs:
        figures["costs.png"] = cost_bars(costs)
    memory = [case for case in report["cases"] if "memory_bytes" in case]
    if memory:
        figures["memory.png"] = memory_bars(memory)
    figures |= {f"race_{case['name']}.png": race_curves(case) for case in report["cases"] if "race" in case}
    return [save(figure, folder / name) for name, figure in figures.items()]


def save(figure: Figure, path: Path) -> Path:
    """Write a figure. Raises ``LabError`` where the folder cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasAgg(figure).print_png(str(path))
    except OSError as error:
        raise LabError(f"The plot cannot be written to {path} ({error.strerror}); choose another folder.") from None
    return path


def cost_bars(cases: list[dict[str, Any]]) -> Figure:
    """An iteration of each contender in training steps, and each network's floor for one local step."""
    values = {name: [case["costs"]["in_training_steps"][name] for case in cases] for name in (OURS, BREACHING)}
    figure, axes = _bars(cases, values, "one iteration, in training steps")
    floors = {row: low for row, case in enumerate(cases) if (low := case["costs"].get("floor_in_training_steps"))}
    lowest, highest = ([row + side for row in floors] for side in (-0.4, 0.4))
    axes.vlines(list(floors.values()), lowest, highest, color="0.3", linestyle=":", linewidth=1, label="its floor")
    _legend(figure)
    return figure


def memory_bars(cases: list[dict[str, Any]]) -> Figure:
    """Peak memory of each contender over the training step's."""
    values = {
        name: [case["memory_bytes"][name] / max(1, case["memory_bytes"][STEP]) for case in cases] for name in (OURS, BREACHING)
    }
    figure, _ = _bars(cases, values, "peak memory, in that of a training step")
    _legend(figure)
    return figure


def _bars(cases: list[dict[str, Any]], values: dict[str, list[float]], label: str) -> tuple[Figure, Axes]:
    """Horizontal bars, the first case on top, each with its number."""
    figure = Figure(figsize=(8, 1.4 + 0.55 * len(cases)), layout="constrained", dpi=150)
    axes = figure.add_subplot()
    for place, (name, found) in enumerate(values.items()):
        rows = [row + 0.38 * (place - 0.5) for row in range(len(cases))]
        bars = axes.barh(rows, found, height=0.36, color=COLOURS[name], label=NAMES[name])
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axes.set_yticks(range(len(cases)), [case["title"] for case in cases])
    axes.invert_yaxis()
    axes.set_xlabel(label)
    _tidy(axes)
    return figure, axes


def race_curves(case: dict[str, Any]) -> Figure:
    """SSIM over seconds: a thin line for each picture, on a logarithmic time axis."""
    figure = Figure(figsize=(8, 4.5), layout="constrained", dpi=150)
    axes = figure.add_subplot()
    for name in ("breaching_default", "breaching_best", OURS):
        runs = [heat[name] for heat in case["race"]["heats"] if heat[name]]
        for place, run in enumerate(runs):
            _curve(axes, run, name, labelled=place == 0)
    axes.axhline(RECOGNISABLE, color="0.3", linestyle=":", linewidth=1)
    axes.set(xscale="log", ylim=(0, 1), ylabel="SSIM", xlabel=f"seconds ({case['title']}; {case['race']['pictures']})")
    _legend(figure)
    _tidy(axes)
    return figure


def _curve(axes: Axes, run: dict[str, Any], name: str, *, labelled: bool) -> None:
    """The looks of one run; a run that was shortened says so."""
    seconds = [max(1e-4, look[1] or look[2]) for look in run["looks"]]
    label = f"{NAMES[name]} ({run['iterations']:,} iterations)" if labelled else None
    axes.plot(seconds, [look[3] for look in run["looks"]], color=COLOURS[name], alpha=0.6, linewidth=1, label=label)


def _legend(figure: Figure) -> None:
    """Above the axes, clear of bars and curves."""
    figure.legend(loc="outside upper center", ncols=3, frameon=False)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
