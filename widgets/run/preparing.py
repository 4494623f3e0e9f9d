"""How the worker thread prepares what was asked for: the lab itself, an experiment, its round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from widgets.door.sentences import sentence
from widgets.run import jobs
from widgets.run.requests import Plan
from widgets.run.worker import Valve

if TYPE_CHECKING:
    from lab import Experiment, Round


@dataclass(frozen=True, eq=False)
class Prepared:
    """An experiment and its round."""

    experiment: Experiment
    attacked: Round
    device: str
    """That it was computed on, in words."""
    notice: str = ""
    kept: Sequence[Experiment] | None = None
    """Of the changes asked for, only those that led to these could be made; None: all of them."""


def prepare(plan: Plan, shown: Experiment | None, valve: Valve, notice: str = "") -> Prepared:
    """The round of what is wanted; where it cannot be had, that of as many of the changes as can be made.

    ``shown`` is the experiment prepared before. Raises ``LabError`` where nothing new can be prepared.
    """
    made = _made(lambda: plan.wanted)
    return _one_by_one(plan, shown, valve, made) if isinstance(made, str) else Prepared(*made, notice)


def _one_by_one(plan: Plan, shown: Experiment | None, valve: Valve, notice: str) -> Prepared:
    """Of several changes at least one could not be prepared: each is tried by itself, and only that one is lost."""
    from lab import LabError

    last: tuple[Experiment, Round, str] | str | None = None
    kept: list[Experiment] = []
    for step in plan.steps if len(plan.steps) > 1 else ():
        before = kept[-1] if kept else plan.base
        made = "Stopped." if valve.stopped else _made(partial(step, before))
        if isinstance(made, str):
            notice = made
        elif made[0] != before:
            last = made
            kept.append(made[0])
    if last is None and shown is not None and plan.base != shown and not valve.stopped:
        last = _made(lambda: plan.base)  # what an undo has brought back just before
    if last is None or isinstance(last, str):
        raise LabError(notice)
    return Prepared(*last, notice, kept)


def _made(make: Callable[[], Experiment]) -> tuple[Experiment, Round, str] | str:
    """An experiment, its round and the device, or the sentence that says why there is none."""
    try:
        experiment = make()
        return (experiment, *jobs.simulate(experiment))
    except Exception as error:  # each change fails by itself
        return sentence(error)
