"""What an exercise is: a task, and cases on which the student's function is tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from lab.course.exercises.compare import difference

Judge = Callable[[Any], str]
"""Looks at an answer; empty for a right one, else the hint."""


@dataclass(frozen=True, eq=False)
class Case:
    """One trial: what the student's function is given, and how its answer is judged."""

    arguments: tuple[Any, ...]
    judge: Judge
    where: str
    """When this case arises, as the middle of a sentence: "for a batch of 3 pictures"."""
    pace: Callable[[], float] | None = None
    """A piece of the work that a right answer is, and how many such pieces it takes; for cases that take long."""


Cases = Callable[[torch.Generator], Iterator[Case]]


@dataclass(frozen=True, eq=False)
class Exercise:
    """A task of one lesson. ``cases`` draws its trials from the generator alone, so that one seed is one set of trials."""

    lesson: int
    task: str
    """What the function takes and returns, in one sentence."""
    praise: str
    """What has been understood, said when every case is right."""
    cases: Cases


def equals(right: Any, *mistakes: tuple[Any, str], tolerance: float = 1e-4, floor: float = 1e-9, instead: str = "") -> Judge:
    """The judge that wants ``right``; each mistake is (what it would give, the hint for who gives it).

    ``tolerance`` is relative to the largest number of ``right``, or to ``floor`` where that is larger. A case that is there
    for one mistake alone gives ``instead`` the hint that any wrong answer gets.
    """

    def judge(answer: Any) -> str:
        generic = difference(answer, right, tolerance, floor)
        if not generic:
            return ""
        if instead:
            return instead
        made = (hint for wrong, hint in mistakes if not difference(answer, wrong, tolerance, floor))
        return next(made, generic)

    return judge
