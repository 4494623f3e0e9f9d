"""Leak against price: a point for each defence and strength, and which of them nobody beats in both.

``front()`` is what a page reads. The file is JSON, one point a line:

    {"size": {"pictures": 2, "seeds": 1, "iterations": 60, "source": "gallery", "runs": 520, "of": 1040},
     "date": "2026-11-30", "versions": {...},
     "points": [{"defence": {"name": "pruning", "strength": 0.99} | null, "strength": 4, "batch_size": 1,
                 "accuracy": 0.84 | null, "leak": 0.5, "low": 0.2, "high": 0.8, "of": 6, "on_front": false,
                 "bouts": [{"network": "small_convnet", "phase": "early", "attacker": "knowing", "identified": 1.0,
                            "recognisable": 1.0, "of": 2, "likeness": 0.9,
                            "measures": {"ssim": 0.8, ...}}, ...]}, ...]}

``leak`` is the share of private pictures that come first among eight in their line-up: on each network and phase by the
stronger attacker, that is the one who finds more of them, then over all of these. Between ``low`` and ``high`` it lies with
95 % (Wilson), if the pictures speak for others. ``accuracy`` is the price: what a whole federation reaches with it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from lab.duel.prices import DefencePlain, as_of_today
from lab.errors import LabError
from lab.files import json_text

SHIPPED = Path(__file__).parent / "front.json"
EARLY, LATE = "early", "late"
"""Fresh random weights, and those after 40 epochs of training."""
NORMAL_QUANTILE = 1.96
"""Standard deviations to either side that hold 95 %."""


@dataclass(frozen=True)
class BoutResult:
    """What came of one bout."""

    network: str
    phase: str
    attacker: str
    identified: float
    """Share of private pictures that come first in their line-up."""
    recognisable: float
    """Share of runs with the verdict "Recognisable"."""
    of: int
    """Private pictures, each seed counted."""
    likeness: float
    """Of what was found to what was private, on average, as the modality tells it."""
    measures: Mapping[str, float]
    """Those of the modality, on average."""


@dataclass(frozen=True)
class Point:
    """One defence at one strength: what it gives away and what it costs."""

    defence: DefencePlain
    strength: int
    batch_size: int
    """Private pictures behind each update: one, but for a defence that needs more to do anything."""
    accuracy: float | None
    leak: float
    low: float
    high: float
    of: int
    bouts: tuple[BoutResult, ...]
    on_front: bool = False

    @classmethod
    def of_bouts(
        cls, defence: DefencePlain, strength: int, batch_size: int, accuracy: float | None, bouts: Sequence[BoutResult]
    ) -> Point:
        """By the stronger attacker of each network and phase."""
        strongest = dict[tuple[str, str], BoutResult]()
        for bout in bouts:
            place = (bout.network, bout.phase)
            strongest[place] = max(strongest.get(place, bout), bout, key=lambda one: (one.identified, one.likeness))
        count = sum(bout.of for bout in strongest.values())
        leak = sum(bout.identified * bout.of for bout in strongest.values()) / count
        return cls(defence, strength, batch_size, accuracy, leak, *wilson(leak, count), count, tuple(bouts))

    @property
    def name(self) -> str:
        """Of the defence; empty without one."""
        return "" if self.defence is None else str(self.defence["name"])

    def dominates(self, other: Point) -> bool:
        """Whether it is as good in both and better in one; more pictures behind an update are another game."""
        if self.accuracy is None or other.accuracy is None or self.batch_size != other.batch_size:
            return False
        ours, theirs = (self.leak, -self.accuracy), (other.leak, -other.accuracy)
        return ours != theirs and all(mine <= its for mine, its in zip(ours, theirs, strict=True))


def wilson(share: float, count: int) -> tuple[float, float]:
    """The interval of 95 % of a share of so many (Wilson 1927)."""
    square = NORMAL_QUANTILE**2 / count
    middle = (share + square / 2) / (1 + square)
    half = NORMAL_QUANTILE * math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def with_front(points: Iterable[Point]) -> tuple[Point, ...]:
    """The same, marked where nobody beats them; a point without a price is on no front."""
    known = tuple(points)
    return tuple(
        replace(one, on_front=one.accuracy is not None and not any(other.dominates(one) for other in known)) for one in known
    )


@dataclass(frozen=True)
class ParetoFront:
    """All points of a study, and how large that was."""

    size: Mapping[str, Any]
    date: str
    versions: Mapping[str, str]
    points: tuple[Point, ...]

    @classmethod
    def read(cls, path: Path) -> ParetoFront:
        """What a file has. Raises ``LabError`` where it is none."""
        try:
            data: Any = json_text.read(path, "a front, and cannot be read")
            return cls(data["size"], data["date"], data["versions"], tuple(map(_point, data["points"])))
        except (OSError, ValueError, KeyError, TypeError):
            raise LabError(f"{path} is no front of a duel, or damaged; write it anew by gradlab duel.") from None

    def text(self) -> str:
        """Of the file, a line for each point."""
        head = json.dumps({"size": self.size, "date": self.date, "versions": self.versions})[:-1]
        lines = ",\n".join(json.dumps(_rounded(asdict(point)), allow_nan=False) for point in self.points)
        return f'{head},\n"points": [\n{lines}\n]}}\n'

    @property
    def best(self) -> tuple[Point, ...]:
        """Those on the front, the least leak first."""
        return tuple(sorted((point for point in self.points if point.on_front), key=lambda point: point.leak))


def _point(data: Any) -> Point:
    return Point(
        **{**data, "defence": as_of_today(data["defence"]), "bouts": tuple(BoutResult(**bout) for bout in data["bouts"])}
    )


def _rounded(value: Any) -> Any:
    """Numbers with as many digits as mean something."""
    if isinstance(value, dict):
        return {key: item if key == "defence" else _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


@cache
def front() -> ParetoFront:
    """The shipped one."""
    return ParetoFront.read(SHIPPED)
