"""``gradlab price``: what each defence costs, by whole federations; the same command goes on where it was stopped."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tqdm import tqdm

from lab.client.defences.base import Defence
from lab.commands.gc_freeze import frozen_imports
from lab.commands.interruption import CommandResult, Interruption, interruptible
from lab.commands.reproducing import worker_count
from lab.duel.prices import Price, PriceList
from lab.errors import LabError
from lab.federation.settings import Federation
from lab.options.catalogue import entries, find

if TYPE_CHECKING:
    from lab.duel.pricing import PricingTask

MAX_SEEDS = 100


def price(
    names: Sequence[str], settings: Federation, seeds: int, out: Path, workers: int | None, scheduler: str = ""
) -> CommandResult:
    """Train what the list in ``out`` lacks of these defences (all of the catalogue where none is named) at all strengths.

    Raises ``LabError`` for wrong input, and where the file, the data or the scheduler cannot be used.
    """
    if not 1 <= seeds <= MAX_SEEDS:
        raise LabError(f"--seeds {seeds} is out of range; give a number from 1 to {MAX_SEEDS}.")
    chosen = [cast("type[Defence]", find("defence", name)) for name in names or entries("defence")]
    processes = worker_count(workers)
    with frozen_imports():  # what was typed is checked by now, and only a training needs torch
        from lab.duel.pricing import price_list, pricing_tasks
    wanted, known = pricing_tasks(settings, chosen, seeds), price_list(out, settings)
    with interruptible() as interruption:
        known = completed(known, wanted, out, processes, interruption, scheduler)
    return CommandResult(_summary(known, out), interruption.asked)


def completed(
    known: PriceList, wanted: Sequence[PricingTask], path: Path, workers: int, interruption: Interruption, scheduler: str = ""
) -> PriceList:
    """The list with what it lacks of these, kept in its file after each federation; ends early after Ctrl-C."""
    from lab.duel.pricing import run_tasks

    todo = [one for one in wanted if not (interruption.asked or known.has(one.defence, one.settings.seed))]
    with tqdm(total=len(todo), desc="price", unit=" federations", file=sys.stderr, dynamic_ncols=True) as bar:
        for run in run_tasks(todo, min(workers, len(todo)), scheduler):
            known = known.having(run)
            known.write(path)
            bar.update()
            if interruption.asked:
                break
    return known


def _summary(known: PriceList, out: Path) -> str:
    return "\n".join([*map(_line, known.prices()), f"Prices: {out}"])


def _line(price: Price) -> str:
    dial = "" if price.defence is None else f" {price.strength} of 5"
    told = "diverged" if price.accuracy is None else f"{100 * price.accuracy:.1f} %"
    runs = f"{len(price.accuracies)} seed{'s' if len(price.accuracies) != 1 else ''}" + (
        f", {price.diverged} diverged" if price.diverged else ""
    )
    return f"  {price.name or 'no defence'}{dial}: {told} ({runs})"
