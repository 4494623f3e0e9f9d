"""``gradlab duel``: defences against attackers, a front of leak and price, and a bench for a file of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lab.commands.interruption import CommandResult, Interruption, interruptible
from lab.commands.pricing import completed
from lab.commands.reproducing import Place, measured, source_of, wanted_cells, worker_count
from lab.duel.contender import Submission, read
from lab.duel.duel import Duel
from lab.duel.front import ParetoFront, Point
from lab.duel.prices import DefencePlain, Price, prices
from lab.experiments.outputs import ready_folder, write_files
from lab.federation.settings import Federation
from lab.files import data_folder
from lab.studies.sweeps.rows import rows
from lab.studies.sweeps.store import Store
from lab.studies.sweeps.sweep import Task
from lab.studies.sweeps.tables import as_csv, markdown

SEEDS = 3
"""Federations behind a price."""


def duel(
    changes: dict[str, Any], place: Place, own_file: Path | None = None, federation: Federation | None = None
) -> CommandResult:
    """Measure what is missing and write every file; Ctrl-C leaves what there is, and the same command goes on.

    With a file of one's own, that one's bouts alone, and a line on the scoreboard. Raises ``LabError`` for wrong input.
    """
    out = place.out or Path("runs/duel")
    given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
    if own_file is None:
        return _fought(Duel(**given, pictures=source_of(place)), place, out, _accuracy(prices()))
    own = read(own_file)
    with own.importable():
        given |= {kind: own.source.name for kind, entry in (("defence", own.defence), ("attack", own.attack)) if entry}
        return _entered(own, Duel(**given, pictures=source_of(place)), place, out, federation or Federation())


def _fought(study: Duel, place: Place, out: Path, accuracy: Callable[[DefencePlain], float | None]) -> CommandResult:
    with interruptible() as interruption:
        problems = _run(study, place, out, interruption)
    front = _written(study, out, accuracy)
    return CommandResult("\n".join([*_summary(front), *problems, f"Written to {out}."]), interruption.asked)


def _entered(own: Submission, study: Duel, place: Place, out: Path, federation: Federation) -> CommandResult:
    """A file's own bouts, its price, and its line on the scoreboard."""
    from lab.duel.board import Score, Scoreboard
    from lab.duel.contender import measured as task
    from lab.duel.contender import tried

    board, folder = Scoreboard(out), out / "own" / own.source.mark
    board.scores()  # a damaged one is said before anything is computed
    tried(own, study.bouts())
    with interruptible() as interruption:
        problems = _run(study, place, folder, interruption, partial(task, own.source))
        known = _priced(own, federation, folder, interruption) if own.defence else prices()
    front = _written(study, folder, _accuracy(known))
    board.enter(own, Score.of(own, front))
    return CommandResult("\n".join([*_summary(front), *problems, f"Scoreboard: {out / 'scoreboard.md'}."]), interruption.asked)


def _run(study: Duel, place: Place, out: Path, interruption: Interruption, task: Task | None = None) -> list[str]:
    """Measure; returns why some of it was not."""
    cells, workers = wanted_cells(study, place.only), worker_count(place.workers)
    ready_folder(out)
    store = Store(out / "experiments")
    with data_folder.given("" if place.data is None else str(place.data.absolute())):
        steps = [step for step in measured(cells, store, workers, place.scheduler, interruption, task) if step.problem]
    return list(dict.fromkeys(f"Not measured: {step.problem}" for step in steps))


def _priced(own: Submission, federation: Federation, folder: Path, interruption: Interruption) -> Sequence[Price]:
    """The prices of a defence of one's own, trained one after another."""
    from lab.duel.pricing import price_list, pricing_tasks

    assert own.defence is not None
    path = folder / "prices.json"
    known = price_list(path, federation)
    return completed(known, pricing_tasks(federation, [own.defence], SEEDS), path, 1, interruption).prices()


def _accuracy(known: Sequence[Price]) -> Callable[[DefencePlain], float | None]:
    listed = [(price.defence, price.accuracy) for price in known]
    return lambda defence: next((accuracy for plain, accuracy in listed if plain == defence), None)


def _written(study: Duel, out: Path, accuracy: Callable[[DefencePlain], float | None]) -> ParetoFront:
    """Table, front and contact sheet of what the store has."""
    from lab.duel.judging import judged
    from lab.duel.sheet import contact_sheet

    store = Store(out / "experiments")
    found = rows(study, store)
    front = judged(study, found, accuracy)
    files = {
        "table.md": markdown(study, found).encode(),
        "table.csv": as_csv(study, found).encode(),
        "pictures.png": contact_sheet(study.bouts(), found, store),
        "front.json": front.text().encode(),
    }
    write_files(files, out)
    return front


def _summary(front: ParetoFront) -> list[str]:
    size = f"{front.size['runs']} of {front.size['of']} runs, {front.size['pictures']} pictures, {front.size['seeds']} seeds"
    return [
        f"Duel: {size}; leak is the share of pictures found in their line-up, * marks the front.",
        *map(_line, front.points),
    ]


def _line(point: Point) -> str:
    who = f"{point.name} {point.strength} of 5" if point.name else "no defence"
    several = f" ({point.batch_size} pictures)" if point.batch_size > 1 else ""
    price = "price not known" if point.accuracy is None else f"accuracy {100 * point.accuracy:.1f} %"
    leak = f"leak {100 * point.leak:.0f} % [{100 * point.low:.0f}, {100 * point.high:.0f}] of {point.of}"
    return f"  {'*' if point.on_front else ' '} {who}{several}: {leak}, {price}"
