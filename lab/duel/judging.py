"""From the rows of a duel to its points: who found how much, beside what the defence costs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lab.client.defences.base import Defence
from lab.duel.duel import Duel, DuelCell
from lab.duel.front import BoutResult, ParetoFront, Point, with_front
from lab.duel.prices import DefencePlain
from lab.modalities.line_up import Verdict
from lab.options.plain import to_plain
from lab.studies.sweeps.rows import Row

LIBRARIES = ("inverting-gradients-lab", "torch")

Accuracy = Callable[[DefencePlain], float | None]
"""What a federation reaches with a defence, as plain data; None where that is not known."""


def judged(study: Duel, rows: Sequence[Row], accuracy: Accuracy) -> ParetoFront:
    """The front of what was measured; a bout without a run is left out."""
    found = dict[tuple[Defence | None, int, int], list[BoutResult]]()
    for bout, row in zip(study.bouts(), rows, strict=True):
        if row.results:
            found.setdefault((bout.defence, bout.strength, bout.batch_size), []).append(_fought(bout, row))
    points = [_point(*place, bouts, accuracy) for place, bouts in found.items()]
    return ParetoFront(_size(study, rows), datetime.now(UTC).date().isoformat(), _versions(rows), with_front(points))


def _point(defence: Defence | None, strength: int, batch_size: int, bouts: list[BoutResult], accuracy: Accuracy) -> Point:
    plain = None if defence is None else to_plain(defence)
    return Point.of_bouts(plain, strength, batch_size, accuracy(plain), bouts)


def _versions(rows: Sequence[Row]) -> Mapping[str, str]:
    """Of the lab and of torch, with which the results were made and not with which they are told; of several all."""
    made = [result.get("versions", {}) for row in rows for result in row.results]
    return {name: ", ".join(sorted({one.get(name, "unknown") for one in made})) for name in LIBRARIES}


def _fought(bout: DuelCell, row: Row) -> BoutResult:
    pictures = [picture for result in row.results for picture in result["pictures"]]
    recognised = [result["verdict"] == Verdict.RECOGNISABLE.value for result in row.results]
    return BoutResult(
        network=bout.network.name,
        phase=bout.phase,
        attacker=bout.attacker,
        identified=statistics.fmean(picture["line_up_rank"] == 1 for picture in pictures),
        recognisable=statistics.fmean(recognised),
        of=len(pictures),
        likeness=statistics.fmean(picture["likeness"] for picture in pictures),
        measures={name: statistics.fmean(picture[name] for picture in pictures) for name in row.modality.measures},
    )


def _size(study: Duel, rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "pictures": max(len(row.cell.experiments) for row in rows) // study.seeds,  # a gallery has only so many
        "seeds": study.seeds,
        "iterations": study.iterations,
        "source": study.pictures.value,
        "networks": sorted({row.first.network.name for row in rows if row.results}),
        "runs": sum(row.measured for row in rows),
        "of": sum(len(row.cell.experiments) for row in rows),
    }
