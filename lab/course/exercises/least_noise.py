"""Lesson 7: the least noise that beats the line-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from lab.course.exercises.base import Case, Exercise
from lab.options.words import rounded

MAX_RUNS = 12
LOW, HIGH = 1e-4, 10.0
NEAR = 1.2
"""The answer may be so many times the least strength that hides the picture."""


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Thresholds near the low end, in the middle and near the high end of five decades."""
    for decades in (0.4, 2.5, 4.4):
        edge = LOW * 10 ** (decades + 0.3 * float(torch.rand((), generator=generator, dtype=torch.float32)))
        oracle = Oracle(edge)
        yield Case((oracle, LOW, HIGH), _judge(oracle), f"for a threshold of about {rounded(edge, 1)}")


class Oracle:
    """recognisable(strength): an attack that succeeds below one strength of noise. Counts the runs it costs."""

    def __init__(self, edge: float) -> None:
        self.edge, self.asked = edge, list[float]()

    def __call__(self, strength: float) -> bool:
        """One attack: whether the picture is recognised at this strength."""
        self.asked.append(float(strength))
        return strength < self.edge

    def __deepcopy__(self, memo: dict[int, Any]) -> Oracle:
        """The same counter wherever it is handed."""
        return self


def _judge(oracle: Oracle) -> Callable[[Any], str]:
    def judge(answer: Any) -> str:
        runs = len(oracle.asked)
        if not isinstance(answer, int | float) or isinstance(answer, bool):
            return "give one strength, a number."
        if runs > MAX_RUNS:
            return f"{runs} runs were asked for; each is a whole attack. Halve the interval each time: {MAX_RUNS} will do."
        if runs == 0:
            return "nothing was tried: call `recognisable(strength)` and look at its answer."
        return _place(float(answer), oracle)

    return judge


def _place(answer: float, oracle: Oracle) -> str:
    if answer < oracle.edge:
        return "at this strength the picture is still recognised: give the upper end of the last interval, the one that hides."
    if answer <= NEAR * oracle.edge:
        return ""
    if all(abs(second - first) < 1e-12 for first, second in zip(oracle.asked, oracle.asked[1:], strict=False)):
        return "the same strength was tried again and again: move an end of the interval after each answer."
    return (
        f"this hides the picture, but {rounded(answer / oracle.edge, 2)} times less would do: over decades halve the ratio, "
        "sqrt(low * high), and keep the half in which the answer changes."
    )


EXERCISE = Exercise(
    lesson=7,
    task=f"least_noise(recognisable, low, high): the least strength that hides, within 20 %, in at most {MAX_RUNS} runs",
    praise="Bisection over decades: a dozen runs instead of a hundred, and an answer on the safe side.",
    cases=cases,
)
