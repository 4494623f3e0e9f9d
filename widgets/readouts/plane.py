"""What leaked against what the shield costs: a dot for each run of the visitor's, beside those of the lab's own study."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from widgets.form.controls import called
from widgets.form.shields import KNOWING, NAIVE, accuracy, attacker, dial

if TYPE_CHECKING:
    from lab import Experiment
    from lab.duel.front import ParetoFront, Point
    from widgets.run.history import PastRun

Dot = dict[str, Any]
ATTACKERS = {NAIVE: "a naive attacker", KNOWING: "one who knows the shield"}
OTHERS = "The lab's own study was of pictures; here stand your runs alone."
AXES = (
    "Upward: how much of the secret was found, its likeness as the verdict takes it. "
    "To the right: the test pictures that a federation gets right which was trained with this shield."
)


def study(experiment: Experiment) -> dict[str, Any]:
    """The dots of the shipped study that are of such inputs and weights as the experiment's, and how little that is."""
    from lab.duel.front import EARLY, LATE, front

    if experiment.modality.name != "images":
        return {"dots": [], "told": f"{AXES} {OTHERS}"}
    found, phase = front(), LATE if experiment.trained else EARLY
    points = placed(found.points, phase)
    best = sorted((point for point in points if point.on_front), key=lambda point: point.leak)
    nobody = "; ".join(f"{_shield(point)} ({_share(point.leak)} alike, {_share(point.accuracy)} right)" for point in best)
    told = f"{_size(found, phase, len(points))} Nobody there does better in both than: {nobody}." if points else OTHERS
    return {"dots": [_studied(point) for point in points], "told": f"{AXES} {told}"}


def placed(points: Iterable[Point], phase: str) -> tuple[Point, ...]:
    """Those of one picture behind an update that have a price; the leak is the stronger attacker's likeness in this phase."""
    from lab.duel.front import with_front

    known = [point for point in points if point.batch_size == 1 and point.accuracy is not None]
    leaks = [(point, _likeness(point, phase)) for point in known]
    return with_front(replace(point, leak=leak) for point, leak in leaks if leak is not None)


def _likeness(point: Point, phase: str) -> float | None:
    """Of the stronger attacker, on average over networks; None where nothing was fought in this phase."""
    bouts = [bout for bout in point.bouts if bout.phase == phase]
    strongest = [max(bout.likeness for bout in bouts if bout.network == name) for name in {bout.network for bout in bouts}]
    return max(0.0, statistics.fmean(strongest)) if strongest else None


def visited(runs: Sequence[PastRun]) -> tuple[list[Dot], str]:
    """A dot for each run that ended, and why others have none."""
    dots, without = list[Dot](), list[str]()
    for run in runs:
        if not run.ended:
            continue
        leak, reached = run.frames[-1].numbers.get("likeness"), accuracy(run.experiment.defences)
        if not isinstance(leak, int | float) or not math.isfinite(leak):
            without.append(f"Run {run.number} has no dot: nobody here knows its truth.")
        elif reached is None:
            without.append(f"Run {run.number} has no dot: the price of its shield was not measured, or nothing was learned.")
        else:
            dots.append(_visited(run, max(0.0, float(leak)), reached))
    return dots, " ".join(without)


def _visited(run: PastRun, leak: float, reached: float) -> Dot:
    who, last = attacker(run.experiment), run.frames[-1]
    worn = [f"{called(defence.name)}, {dial(defence)}" for defence in run.experiment.defences] or ["no shield"]
    told = ", ".join([*worn, *([ATTACKERS[who]] if who else [])])
    return {
        "number": run.number,
        "leak": leak,
        "accuracy": reached,
        "attacker": who,
        "shielded": bool(run.experiment.defences),
        "title": f"Run {run.number}: {told}: {_share(leak)} alike after {last.iteration} steps, {_share(reached)} right",
    }


def _studied(point: Point) -> Dot:
    told = f"{_shield(point)}: {_share(point.leak)} alike, {_share(point.accuracy)} right"
    return {"leak": point.leak, "accuracy": point.accuracy, "front": point.on_front, "title": told}


def _shield(point: Point) -> str:
    from lab.client.defences.base import STRENGTHS

    return f"{called(point.name)} {point.strength} of {STRENGTHS}" if point.name else "no shield"


def _size(found: ParetoFront, phase: str, count: int) -> str:
    """How small the study was, in its own numbers."""
    from lab.duel.front import EARLY

    size = found.size
    weights = "fresh" if phase == EARLY else "trained"
    networks = " and ".join(called(name) for name in size["networks"])
    pictures, seeds = (f"{size[name]} {name[:-1] if size[name] == 1 else name}" for name in ("pictures", "seeds"))
    return (
        f"Grey: the lab's own study, {count} shields and strengths with a price, each by the stronger of a naive attacker "
        f"and one who knows it: {pictures}, {seeds}, {size['iterations']} steps, {networks} with {weights} weights. "
        "From so few nothing follows for other pictures."
    )


def _share(value: float | None) -> str:
    from lab.options.words import percent

    return "–" if value is None else percent(value)
