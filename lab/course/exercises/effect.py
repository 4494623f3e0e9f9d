"""Lesson 5: which factor matters most."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import torch

from lab.course.exercises.base import Case, Exercise, Judge, equals

FACTORS = ("trained", "deep", "smooth")
Run = dict[str, Any]


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Full designs of two and three factors, runs in any order, and a factor that helps."""
    for count in (2, 3):
        factors = FACTORS[:count]
        runs: list[Run] = [dict(zip(factors, on, strict=True)) for on in product((False, True), repeat=count)]
        for run in runs:
            run["ssim"] = 0.9 - 0.3 * run["trained"] - 0.1 * run["deep"] + 0.05 * run.get("smooth", False)
            run["ssim"] += 0.02 * float(torch.rand((), generator=generator, dtype=torch.float32))
        mixed = [runs[place] for place in torch.randperm(len(runs), generator=generator).tolist()]
        for factor in factors:
            yield Case((mixed, factor), _judge(mixed, factor), f'for "{factor}" in {len(mixed)} runs')


def _judge(runs: list[Run], factor: str) -> Judge:
    on = [run["ssim"] for run in runs if run[factor]]
    off = [run["ssim"] for run in runs if not run[factor]]
    right = sum(on) / len(on) - sum(off) / len(off)
    return equals(
        right,
        (-right, "the sign is turned: with the factor minus without it, so that what hurts is negative."),
        (sum(on) - sum(off), "these are sums; compare means, or more runs look like a larger effect."),
        (sum(on) / len(on), "this is the mean with the factor on; an effect is a difference between two means."),
        (sum(on) / sum(off), "this is a ratio; give the difference of the two means."),
        (max(on) - max(off), "one best run on each side is an anecdote; take the mean over all runs of each side."),
        (on[0] - off[0], "one run on each side is an anecdote, and they differ in other factors too; take means over all."),
        (abs(right), "keep the sign: it says whether the factor helps or hurts the server."),
        floor=1e-3,
    )


EXERCISE = Exercise(
    lesson=5,
    task="effect(runs, factor): mean 'ssim' of the runs with the factor on, minus that of the runs with it off",
    praise="In a full design every other factor is balanced out: that is why the two means may be compared.",
    cases=cases,
)
