"""Lesson 9: what a claim is worth."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean, pstdev, stdev

import torch

from lab.course.exercises.base import Case, Exercise, Judge, equals

STUDENT_T = {3: 4.303, 5: 2.776, 10: 2.262}
"""The 97.5 % quantile of Student's t for n values, n - 1 degrees of freedom."""


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Paired differences of 3, 5 and 10 seeds, some of them negative."""
    for count, quantile in STUDENT_T.items():
        without = 18 + 2 * torch.randn(count, generator=generator, dtype=torch.float32)
        with_it = without - 1 + torch.randn(count, generator=generator, dtype=torch.float32)
        a, b = with_it.tolist(), without.tolist()
        yield Case((a, b, quantile), _judge(a, b, quantile), f"on {count} pairs")


def _judge(a: list[float], b: list[float], quantile: float) -> Judge:
    gaps = [one - other for one, other in zip(a, b, strict=True)]
    mean, half = fmean(gaps), quantile * stdev(gaps) / len(gaps) ** 0.5
    unpaired = quantile * ((stdev(a) ** 2 + stdev(b) ** 2) / len(a)) ** 0.5
    return equals(
        _around(mean, half),
        (_around(mean, 1.96 / quantile * half), "1.96 is for many values; for few use the t that is given."),
        (_around(mean, quantile * stdev(gaps)), "the spread is divided by sqrt(n): the interval is one for the mean."),
        (_around(mean, quantile * pstdev(gaps) / len(gaps) ** 0.5), "divide by n - 1 in the spread: `statistics.stdev` does."),
        (_around(mean, unpaired), "the pairs share a seed: take the difference within each pair first, then its spread."),
        (_around(-mean, half), "the sign is turned: a - b, pair by pair."),
        (_around(mean, half / quantile), "this is one standard error on each side; times t it is the 95 % interval."),
        ((mean, half), "this is (middle, half width); give (low, high)."),
        ((mean + half, mean - half), "the order is (low, high)."),
        floor=0.1,
    )


def _around(middle: float, half: float) -> tuple[float, float]:
    return middle - half, middle + half


EXERCISE = Exercise(
    lesson=9,
    task="interval(a, b, t): (low, high) of the 95 % interval of the mean of a - b, pair by pair, for Student's t",
    praise="If zero lies inside, the three seeds have not shown a difference. That sentence belongs under the figure.",
    cases=cases,
)
