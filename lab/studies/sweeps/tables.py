"""A study's rows as files: Markdown to read, CSV for a spreadsheet, JSON with every experiment."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

from lab.evaluation.scoring import control_name
from lab.modalities.base import Modality
from lab.options.plain import to_plain
from lab.studies.base import Study
from lab.studies.sweeps.provenance import mixed
from lab.studies.sweeps.rows import Row
from lab.studies.sweeps.statistics import Estimate

DIGITS = 6

Columns = dict[str, Callable[[Row], str]]


def _number(value: float | None, form: str = ".2f") -> str:
    return "" if value is None else format(value, form)


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def _told(estimate: Estimate | None, otherwise: str = "") -> str:
    return otherwise if estimate is None else str(estimate)


def _scored(modality: Modality) -> Columns:
    """The paper's number, ours, and the other measures that sum up a run."""
    main = modality.measures[modality.main]
    others = {name: measure for name, measure in modality.measures.items() if measure.in_summary and name != modality.main}
    return {
        f"paper, {main.title}": lambda row: "" if row.paper is None else str(row.paper),
        f"ours, {_axis(modality, modality.main)}": lambda row: _told(row.main, "not run"),
        **{measure.title: lambda row, name=name: _told(row.measures[name]) for name, measure in others.items()},
    }


def _knowing_nothing(modality: Modality) -> Columns:
    """What each answer that knows nothing scores."""
    unit = modality.measures[modality.main].unit
    return {
        f"{name}{f', {unit}' if unit else ''}": lambda row, name=name: _number(row.controls[name]) for name in modality.controls
    }


_IN_THE_LINE_UP: Columns = {
    "first in the line-up": lambda row: _share(row.identified),
    "recognisable": lambda row: _share(row.recognisable),
}
_SPENT: Columns = {
    "runs": lambda row: f"{row.measured} of {len(row.cell.experiments)}",
    "iterations": lambda row: _number(row.iterations, "d"),
    "CPU s": lambda row: _number(row.cpu_seconds, ".3g"),
    "scaled down": lambda row: row.scaled_down or "nothing",
}
_WHERE_TOLD: Columns = {
    "labels right": lambda row: _share(None if row.labels_right is None else row.labels_right.mean),
    "gradient's length": lambda row: _number(row.gradient_norm, ".3g"),
    "outcome": lambda row: row.outcomes,
}


def columns(study: Study, rows: Sequence[Row]) -> Columns:
    """The columns of a study's table: what every table has, and those of its own ``extra_columns``."""
    modality = rows[0].modality
    details: Columns = {title: lambda row, name=name: _told(row.measures[name]) for name, title in modality.details.items()}
    told = {name: column for name, column in {**details, **_WHERE_TOLD}.items() if name in study.extra_columns}
    cell: Columns = {"cell": lambda row: row.cell.name}
    return {**cell, **_scored(modality), **_IN_THE_LINE_UP, **_knowing_nothing(modality), **_SPENT, **told}


def markdown(study: Study, rows: Sequence[Row]) -> str:
    """The table under its title, with how to read it."""
    chosen = columns(study, rows)
    lines = [f"| {' | '.join(chosen)} |", f"|{'---|' * len(chosen)}"]
    lines += [f"| {' | '.join(column(row) for column in chosen.values())} |" for row in rows]
    head = [f"# {study.title}", "", f"{study.paper_item}.", ""]
    return "\n".join([*head, *lines, "", _note(rows[0].modality), *_warnings(rows), "", _set_up(study), ""])


def _note(modality: Modality) -> str:
    """How the numbers are to be read."""
    many, nothing = modality.many, " and ".join(modality.controls.values())
    return (
        f"Mean ± standard deviation over {many} [95 % interval of the mean, Student's, over {many} after averaging seeds]. "
        "A number marked as recalled was not checked against the paper. "
        f"What knowing nothing scores is told of {nothing}; the line-up asks which of eight {many} was rebuilt."
    )


def mixtures(rows: Sequence[Row]) -> list[str]:
    """Where the cells of one table, or the runs of one cell, are of different pictures or versions."""
    return mixed(result for row in rows for result in row.results)


def _warnings(rows: Sequence[Row]) -> list[str]:
    return [line for sentence in mixtures(rows) for line in ("", f"**{sentence}**")]


def _set_up(study: Study) -> str:
    """Which settings made the table."""
    return f"Settings: {json.dumps(to_plain(study))}"


def as_csv(study: Study, rows: Sequence[Row]) -> str:
    """One row a cell, numbers apart from their spread and interval."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(_flat(rows[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_flat(row) for row in rows)
    return file.getvalue()


def _flat(row: Row) -> dict[str, Any]:
    modality = row.modality
    unit = modality.measures[modality.main].unit.lower()
    return {
        "cell": row.cell.name,
        f"paper_{modality.main}": "" if row.paper is None else row.paper.value,
        f"paper_spread{unit and f'_{unit}'}": "" if row.paper is None or row.paper.spread is None else row.paper.spread,
        "paper_mark": "" if row.paper is None else row.paper.mark.value,
        **{key: value for name, found in row.measures.items() for key, value in _spread(name, found).items()},
        **_spread("labels_right", row.labels_right),
        "identified": row.identified,
        "recognisable": row.recognisable,
        **{control_name(modality, name): value for name, value in row.controls.items()},
        "gradient_norm": row.gradient_norm,
        "cpu_seconds": row.cpu_seconds,
        "iterations": row.iterations,
        "outcomes": row.outcomes,
        "runs": row.measured,
        "scaled_down": row.scaled_down,
    }


def _spread(name: str, found: Estimate | None) -> dict[str, Any]:
    if found is None:
        return {name: None, f"{name}_spread": None, f"{name}_low": None, f"{name}_high": None}
    return {name: found.mean, f"{name}_spread": found.spread, f"{name}_low": found.low, f"{name}_high": found.high}


def as_json(study: Study, rows: Sequence[Row]) -> str:
    """The study, its rows and every experiment with its result."""
    data = {
        "study": to_plain(study),
        "title": study.title,
        "paper_item": study.paper_item,
        "main": study.main or rows[0].modality.main,
        "axis": _axis(rows[0].modality, study.main),
        "also_told": list(study.extra_columns),
        "mixed": mixtures(rows),
        "cells": [_flat(row) | {"experiments": [_shortly(result) for result in row.results]} for row in rows],
    }
    return json.dumps(_rounded(data), allow_nan=False).replace('{"cell":', '\n{"cell":') + "\n"


def _axis(modality: Modality, main: str) -> str:
    """What the figure's numbers are: "PSNR in dB"."""
    measure = modality.measures.get(main or modality.main)
    if measure is None:
        return modality.details.get(main, main)
    return f"{measure.title} in {measure.unit}" if measure.unit else measure.title


def _rounded(value: Any) -> Any:
    """Numbers with as many digits as mean something."""
    if isinstance(value, dict):
        return {key: item if key == "experiment" else _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _shortly(result: dict[str, Any]) -> dict[str, Any]:
    """A result without what its other fields tell; the experiment stays complete, as defaults may change."""
    return {name: value for name, value in result.items() if name not in ("outcome_text", "line_up_size")}
