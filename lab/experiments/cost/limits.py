"""What an experiment may cost at most, and, where one asks for more, what would fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from lab.errors import LabError
from lab.experiments.cost import Cost, cost
from lab.experiments.edits import edit
from lab.experiments.experiment import Experiment
from lab.options.fields import Field, Option, fields_of
from lab.options.words import rounded

SMALLER = (
    "batch_size",
    "image_size",
    "network.width",
    "network.widen",
    "network.depth",
    "local_steps",
    "iterations",
    "restarts",
)
"""What may be made smaller, by the paths of edits, in the order in which it is proposed."""
USUAL_SIDES = (32, 64, 224)
"""Sides that are proposed, of all that are possible: those of the pictures that people have."""
MAX_PROPOSALS = 3
GB = 1e9


@dataclass(frozen=True)
class Limits:
    """Bounds on one experiment's round and attack together."""

    bytes: float = math.inf
    seconds: float = math.inf
    """Of one processor."""

    def allow(self, wanted: Cost) -> bool:
        """Whether both bounds are kept."""
        return wanted.bytes <= self.bytes and (self.seconds == math.inf or wanted.seconds <= self.seconds)

    def check(self, experiment: Experiment) -> None:
        """Raise ``LabError`` with what was asked for, what is allowed and what would fit, where that is more."""
        if self == Limits():
            return
        wanted = cost(experiment)
        if not self.allow(wanted):
            raise LabError(f"{self._too_much(wanted)} {self._advice(experiment)}")

    def _too_much(self, wanted: Cost) -> str:
        if wanted.bytes > self.bytes:
            return (
                f"This experiment asks for {_told(wanted.bytes / GB)} GB of memory, and {_told(self.bytes / GB)} GB are "
                "allowed here."
            )
        return (
            f"This experiment asks for about {_told(wanted.seconds)} s of computing, and {_told(self.seconds)} s are "
            "allowed here."
        )

    def _advice(self, experiment: Experiment) -> str:
        found = proposals(experiment, lambda other: self.allow(cost(other)))
        if not found:
            return "Nothing near it would fit; undo the change, or take a smaller network."
        return f"It would fit with {' or '.join(found[:MAX_PROPOSALS])}."


def proposals(experiment: Experiment, fits: Callable[[Experiment], bool]) -> list[str]:
    """The single changes that make an experiment fit, each as little as possible; where none does, several together.

    Empty where even the least of everything does not fit.
    """
    alone = [(path, _largest(experiment, path, fits)) for path in SMALLER]
    found = [f"{path} = {value}" for path, value in alone if value is not None]
    return found or _together(experiment, fits)


def _together(experiment: Experiment, fits: Callable[[Experiment], bool]) -> list[str]:
    """One choice after another at its least, until the next need not be."""
    changes: list[str] = []
    for path in SMALLER:
        value = _largest(experiment, path, fits)
        if value is not None:
            return [" and ".join([*changes, f"{path} = {value}"])]
        for least in _smaller(experiment, path)[:1]:
            experiment = edit(experiment, path, least)
            changes.append(f"{path} = {least}")
    return []


def _largest(experiment: Experiment, path: str, fits: Callable[[Experiment], bool]) -> int | None:
    """The largest smaller value of a choice that fits, by bisection: costs grow with each of them."""
    values = _smaller(experiment, path)
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if fits(edit(experiment, path, values[middle])) else (low, middle)
    return values[low - 1] if low else None


def _smaller(experiment: Experiment, path: str) -> range | list[int]:
    """The values below the present one, ascending; none of what the experiment does not have."""
    place, _, name = path.rpartition(".")
    owners: list[Option] = [getattr(experiment, place)] if place else [experiment, experiment.protocol, experiment.attack]
    for owner in owners:
        field = next((field for field in fields_of(type(owner)) if field.name == name and field.type is int), None)
        if field is not None:
            if name == "image_size":
                return [side for side in USUAL_SIDES if side < min(experiment.sides)]
            return _below(field, getattr(owner, name))
    return []


def _below(field: Field, present: int) -> range | list[int]:
    if field.choices is not None:
        return sorted(value for value in field.choices if 0 < value < present)
    assert field.bounds is not None
    return range(int(field.bounds.low), present)


def _told(value: float) -> str:
    """Two digits are enough."""
    return rounded(value, 2)
