"""Lesson 8: whether two raters agree more than by chance."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import torch

from lab.course.exercises.base import Case, Exercise, Judge, equals


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Two raters of 12 pairs, a lenient one against a strict one, full agreement, and full disagreement."""
    mine = (torch.rand(12, generator=generator, dtype=torch.float32) < 0.5).tolist()
    mine[:2] = [True, False]
    theirs = [not said if place in (3, 7, 8) else said for place, said in enumerate(mine)]
    yield Case((mine, theirs), _judge(mine, theirs), "on 12 pairs")
    lenient, strict = [True] * 9 + [False], [True] * 5 + [False] * 5
    yield Case((lenient, strict), _judge(lenient, strict), "on a lenient and a strict rater")
    yield Case((mine, mine), _judge(mine, mine), "on two raters who always agree")
    opposite = [not said for said in mine]
    yield Case((mine, opposite), _judge(mine, opposite), "on two raters who never agree")


def _judge(mine: list[bool], theirs: list[bool]) -> Judge:
    count = len(mine)
    same = sum(a == b for a, b in zip(mine, theirs, strict=True)) / count
    yes, other = sum(mine) / count, sum(theirs) / count
    chance = yes * other + (1 - yes) * (1 - other)
    pairs = list(combinations(range(count), 2))
    ordered = sum((mine[i] == mine[j]) == (theirs[i] == theirs[j]) for i, j in pairs) / len(pairs)
    return equals(
        (same - chance) / (1 - chance),
        (same, "this is the share of equal ratings; two raters who always say yes would get 1. Take chance away."),
        (same - chance, "what is left after chance is measured against the most that could be left, 1 - p_e."),
        ((same - chance) / chance, "divide by 1 - p_e, so that full agreement gives 1."),
        ((same - 0.5) / 0.5, "chance is not one half: it follows from how often each rater says yes."),
        ((same - yes * other) / (1 - yes * other), "by chance both may say no as well: p_e has two terms."),
        (ordered, "compare the two ratings of each pair, not pairs of pairs."),
        (1 - same, "this is how often they differ."),
        floor=1.0,
    )


EXERCISE = Exercise(
    lesson=8,
    task="agreement(mine, theirs): Cohen's kappa, (p_o - p_e) / (1 - p_e), of two lists of True and False",
    praise="0 is what chance gives, 1 is full agreement, below 0 contradiction. Now ask a score: do you agree with people?",
    cases=cases,
)
