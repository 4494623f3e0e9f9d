"""``gradlab reproduce``: a study from its experiments to its table, figure and contact sheet."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lab.commands.child import run_child
from lab.commands.interruption import CommandResult, Interruption, interruptible
from lab.errors import LabError, quoted
from lab.experiments.experiment import Experiment
from lab.experiments.outputs import ready_folder, write_files
from lab.files import data_folder
from lab.machine.resources import usable_cores
from lab.options.catalogue import find
from lab.options.plain import from_plain
from lab.studies.base import Cell, Pictures, Study
from lab.studies.sweeps.cluster import connected
from lab.studies.sweeps.rows import Row, rows
from lab.studies.sweeps.sheets import contact_sheet
from lab.studies.sweeps.store import Store
from lab.studies.sweeps.sweep import Step, Task, missing, sweep
from lab.studies.sweeps.tables import as_csv, as_json, markdown, mixtures

MAX_WORKERS = 256


@dataclass(frozen=True)
class Place:
    """Where a study is computed, where its data lie and where its files go."""

    workers: int | None = None
    """Processes on this machine; None takes as many as there are cores to use."""
    scheduler: str = ""
    data: Path | None = None
    out: Path | None = None
    only: str = ""
    """Measure cells whose name contains this; the table shows the others with what is stored of them."""


def prepare(name: str, changes: dict[str, Any], place: Place) -> Study:
    """The study called ``name`` with what was typed; on CIFAR-10 where a folder of data is known. Raises ``LabError``."""
    entry, pictures = find("study", name), source_of(place)
    given = {key: value for key, value in changes.items() if value is not None}
    study = from_plain(Study, {"name": entry.name, **given})  # type: ignore[type-abstract]
    return replace(study, pictures=pictures)


def source_of(place: Place) -> Pictures:
    """CIFAR-10 where a folder of data is known, else the gallery. Raises ``LabError`` where the one given is none."""
    if place.data is not None and not place.data.is_dir():
        raise LabError(f"There is no folder {place.data}; give --data the path of a folder with data sets.")
    return Pictures.CIFAR10 if place.data is not None or data_folder.current() else Pictures.GALLERY


def reproduce(name: str, changes: dict[str, Any], place: Place) -> CommandResult:
    """Measure what is missing and write every file; Ctrl-C leaves what there is, and the same command goes on.

    Raises ``LabError`` for wrong input, or where a folder or the scheduler cannot be used.
    """
    study, out = prepare(name, changes, place), place.out or Path("runs", "studies", name)
    cells, workers = wanted_cells(study, place.only), worker_count(place.workers)
    ready_folder(out)
    store, problems = Store(out / "experiments"), list[Step]()
    with data_folder.given("" if place.data is None else str(place.data.absolute())), interruptible() as interruption:
        for step in measured(cells, store, workers, place.scheduler, interruption):
            problems += [step] if step.problem else []
    found = rows(study, store)
    names = write(study, found, store, out)
    return CommandResult(_summary(study, found, problems, names, out), interruption.asked)


def wanted_cells(study: Study, only: str) -> list[Cell]:
    """Those whose name contains a text. Raises ``LabError`` where none does."""
    wanted = [cell for cell in study.cells() if only.lower() in cell.name.lower()]
    if not wanted:
        raise LabError(f"No cell of {study.name} contains {quoted(only)}; take a part of a name from its table.")
    return wanted


def measured(
    cells: list[Cell], store: Store, workers: int, scheduler: str, interruption: Interruption, task: Task | None = None
) -> Iterator[Step]:
    """Steps of the sweep behind a progress bar with the time left; ends early after Ctrl-C."""
    experiments = by_turns(cells)
    todo = missing(experiments, store)
    with _bar(len(todo), len(experiments)) as bar:
        if not todo:
            return
        alone = min(workers, len(todo)) == 1 and not scheduler
        with nullcontext() if alone else connected(min(workers, len(todo)), scheduler) as client:
            for step in sweep(todo, store, client, data_folder.current(), task):
                bar.update()
                yield step
                if interruption.asked:
                    return


def worker_count(asked: int | None) -> int:
    """Processes to compute with: as many as asked, else one a core. Raises ``LabError``."""
    workers = usable_cores() if asked is None else asked
    if not 1 <= workers <= MAX_WORKERS:
        raise LabError(f"--workers {workers} is out of range; give a number from 1 to {MAX_WORKERS}.")
    return workers


def by_turns(cells: list[Cell]) -> list[Experiment]:
    """Each cell's first experiment before any cell's second: what is stopped half-way tells of all cells alike."""
    turns = zip_longest(*(cell.experiments for cell in cells))
    return [experiment for turn in turns for experiment in turn if experiment is not None]


@contextmanager
def _bar(todo: int, whole: int) -> Iterator[tqdm[Any]]:
    title = f"reproduce ({whole - todo} of {whole} were done)" if todo < whole else "reproduce"
    with tqdm(total=todo, desc=title, unit=" runs", file=sys.stderr, dynamic_ncols=True) as bar:
        yield bar


def write(study: Study, found: tuple[Row, ...], store: Store, out: Path) -> list[str]:
    """Table, contact sheet and figure; returns their names. Raises ``LabError``."""
    files = {
        "table.md": markdown(study, found).encode(),
        "table.csv": as_csv(study, found).encode(),
        "table.json": as_json(study, found).encode(),
        "pictures.png": contact_sheet(found, store),
    }
    return [*write_files(files, out), *_figures(out)]


def _figures(out: Path) -> list[str]:
    """The figure, drawn from the table by a process of its own: the engine knows no plotting."""
    if run_child([sys.executable, "-m", "widgets.still.study_figure", str(out / "table.json")]) != 0:
        raise LabError(f"The figure of {out / 'table.json'} could not be drawn; the table itself is complete.")
    return ["figure.html", "figure.png"]


def _summary(study: Study, found: tuple[Row, ...], problems: list[Step], written: list[str], out: Path) -> str:
    """The table's main columns in words, and where the files are."""
    lines = [study.title]
    for row in found:
        unit = row.modality.measures[row.modality.main].unit
        ours = "not run" if row.main is None else f"{row.main} {unit}".strip()
        paper = "" if row.paper is None else f"; the paper: {row.paper}"
        lines.append(f"  {row.cell.name}: {ours}{paper} ({row.measured} of {len(row.cell.experiments)} runs)")
    lines += dict.fromkeys(f"Not measured: {step.problem}" for step in problems)
    lines += mixtures(found)
    return "\n".join([*lines, f"Written to {out}: {', '.join(written)}."])
