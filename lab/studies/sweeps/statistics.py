"""A cell's results in a few numbers: the mean, its spread over pictures, and how sure the mean is."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean with its spread over pictures and its 95 % interval; both None with a single picture and seed."""

    mean: float
    spread: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        """Such as ``21.30 ± 2.10 [20.10, 22.50]``."""
        if self.spread is None or self.low is None or self.high is None:
            return f"{self.mean:.2f}"
        return f"{self.mean:.2f} ± {self.spread:.2f} [{self.low:.2f}, {self.high:.2f}]"


def estimate(results: Iterable[dict[str, Any]], field: str) -> Estimate | None:
    """The mean of a field over the results; None where none of them has a number there.

    The unit is the picture: seeds of one picture are averaged first, because they are alike. Where there is one
    picture only, the unit is the seed. The interval is Student's.
    """
    units = _units([result for result in results if result.get(field) is not None], field)
    if not units:
        return None
    mean = statistics.fmean(units)
    if len(units) == 1:
        return Estimate(mean, None, None, None)
    spread = statistics.stdev(units)
    half = _student(len(units) - 1) * spread / math.sqrt(len(units))
    return Estimate(mean, spread, mean - half, mean + half)


def _units(results: list[dict[str, Any]], field: str) -> list[float]:
    by_picture: dict[str, list[float]] = defaultdict(list)
    for result in results:
        by_picture[_picture(result)].append(float(result[field]))
    means = [statistics.fmean(values) for values in by_picture.values()]
    return means if len(means) > 1 else [value for values in by_picture.values() for value in values]


def _picture(result: dict[str, Any]) -> str:
    return repr(result["experiment"]["dataset"])


def _student(freedom: int) -> float:
    """How many standard errors to either side hold 95 %."""
    from scipy.stats import t  # imported here: scipy is slow to load

    return float(t.ppf((1 + CONFIDENCE) / 2, freedom))
