"""Lesson 9: three seeds make a bar."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean, median, pstdev, stdev

import torch

from lab.course.exercises.base import Case, Exercise, Judge, equals


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Three, four and ten values, around 20 dB and around 0."""
    for count, middle in ((3, 20.0), (4, 0.0), (10, -3.0)):
        values = (middle + 2 * torch.randn(count, generator=generator, dtype=torch.float32)).tolist()
        yield Case((values,), _judge(values), f"on {count} values")


def _judge(values: list[float]) -> Judge:
    mean, spread, root = fmean(values), stdev(values), len(values) ** 0.5
    return equals(
        (mean, spread / root),
        ((mean, spread), "this is the spread of single runs; the error of their mean is smaller by sqrt(n)."),
        ((mean, pstdev(values) / root), "divide by n - 1, not n: the mean was taken from the same values."),
        ((mean, pstdev(values)), "divide by n - 1 for the spread, then by sqrt(n) for the error of the mean."),
        ((mean, spread / len(values)), "the error shrinks with sqrt(n), not with n."),
        ((mean, spread**2 / len(values)), "this is the variance of the mean; its root is the error."),
        ((mean, (max(values) - min(values)) / 2), "half the range grows with the number of runs; take the standard error."),
        ((median(values), spread / root), "this is the median; the error goes with the mean."),
        ((spread / root, mean), "the order is (mean, error)."),
        floor=0.1,
    )


EXERCISE = Exercise(
    lesson=9,
    task="mean_and_error(values): the mean and its standard error, s / sqrt(n) with n - 1 in s",
    praise="A number without its error is an anecdote. Now each bar of your figure has one.",
    cases=cases,
)
