"""Lesson 6: a table of verdicts over E, B and n."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from lab.course.exercises.base import Case, Exercise, Judge, equals

Setting = tuple[int, int, int]
SETTINGS: list[Setting] = [(1, 4, 2), (5, 1, 1), (5, 8, 8), (1, 8, 2)]


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Attacks whose luck depends on the seed, with three and four seeds, and a single setting."""
    for settings, seeds in ((SETTINGS, [0, 1, 2]), (SETTINGS[:1], [5, 3, 8, 9]), (SETTINGS[1:], [2])):
        luck = {
            (setting, seed): bool(torch.rand((), generator=generator, dtype=torch.float32) < 0.6)
            for setting in settings
            for seed in seeds
        }
        luck |= {(settings[0], seed): seed == seeds[0] for seed in seeds}  # lucky once
        if len(settings) > 1:
            luck |= {(settings[1], seed): seed != seeds[0] for seed in seeds}  # unlucky once
        where = f"for {len(settings)} settings and {len(seeds)} seeds"
        yield Case((_attack(luck), settings, seeds), _judge(luck, settings, seeds), where)


def _attack(luck: dict[tuple[Setting, int], bool]) -> Callable[..., bool]:
    """attack(E, n, B, seed): whether the picture came out recognisable."""

    def attack(E: int, n: int, B: int, seed: int) -> bool:
        return luck[(E, n, B), seed]

    return attack


def _judge(luck: dict[tuple[Setting, int], bool], settings: list[Setting], seeds: list[int]) -> Judge:
    counts = {setting: sum(luck[setting, seed] for seed in seeds) for setting in settings}
    shares: dict[Any, float] = {setting: count / len(seeds) for setting, count in counts.items()}
    hint = "one seed may be lucky: use them all, and give the share of seeds that succeeded."
    return equals(
        shares,
        ({setting: luck[setting, seeds[0]] for setting in settings}, hint),
        ({setting: luck[setting, seeds[-1]] for setting in settings}, hint),
        (
            {setting: any(luck[setting, seed] for seed in seeds) for setting in settings},
            "once lucky is not always: give the share.",
        ),
        (counts, "these are counts; divide by the number of seeds, so that tables compare."),
        (
            {setting: 1 - share for setting, share in shares.items()},
            "these are the failures; the table tells of the successes.",
        ),
        (list(shares.values()), "the numbers are right; give a dictionary with the key (E, n, B) for each setting."),
        tolerance=1e-6,
        floor=1.0,
    )


EXERCISE = Exercise(
    lesson=6,
    task="verdict_table(attack, settings, seeds): the share of seeds with attack(E, n, B, seed) True, for each (E, n, B)",
    praise="A share over seeds for each setting: the smallest honest answer to whether averaging protects.",
    cases=cases,
)
