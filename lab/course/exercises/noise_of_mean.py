"""Lesson 12: many clients share the noise, and hide behind one another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from lab.course.exercises.base import Case, Exercise, Judge, equals

NUMBERS = 20_000
"""Of an update that is drawn to measure: its deviation is off by half a per cent or so."""
NEAR = 0.03


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Few clients and many, with much noise and little, and one alone."""
    for multiplier, longest, clients in ((1.0, 0.5, 9), (0.3, 2.0, 25), (4.0, 3.0, 64), (2.0, 0.7, 1)):
        where = f"for noise {multiplier:g}, a bound of {longest:g} and {clients} client{'s' * (clients > 1)}"
        yield Case((multiplier, longest, clients), _judge(multiplier, longest, clients, generator), where)


def _judge(multiplier: float, longest: float, clients: int, generator: torch.Generator) -> Judge:
    noise, moved = _measured(multiplier * longest, clients, generator), longest / clients
    each = equals(
        noise,
        (noise / moved, "the two are the other way round: first the noise, then over how much one client moves the mean."),
        (multiplier * longest, "this is the noise of one client; in a mean it falls."),
        (multiplier * longest / clients, "what is drawn by chance cancels in part only: the noise of a sum grows as a root."),
        (multiplier * longest * clients**0.5, "this is the noise of the sum; the mean is the sum over the clients."),
        (multiplier / clients**0.5, "the deviation is the multiplier times the bound."),
        tolerance=NEAR,
    )
    over = equals(
        noise / moved,
        (noise / longest, "one client moves the mean by the bound over the number of clients, not by the bound."),
        (multiplier, "this holds for one client alone; in the mean all others' noise hides it, too."),
        (multiplier * clients, "the noise of the mean falls as well, by the root of the clients."),
        (noise, "measure the noise by what one client moves the mean: divide by it."),
        tolerance=NEAR,
    )

    def judge(answer: Any) -> str:
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            return "give a pair: the deviation of the mean's noise, and the same over the most that one client moves the mean."
        return each(answer[0]) or over(answer[1])

    return judge


def _measured(deviation: float, clients: int, generator: torch.Generator) -> float:
    """The deviation of the mean of so many clients' noise, drawn."""
    total = torch.zeros(NUMBERS, dtype=torch.float64)
    for _ in range(clients):
        total += torch.randn(NUMBERS, generator=generator, dtype=torch.float64)
    return deviation * float(total.std()) / clients


EXERCISE = Exercise(
    lesson=12,
    task="noise_of_mean(multiplier, longest, clients): the mean's noise, and that over what one client moves it",
    praise="The mean gets clearer with every client, and each client better hidden in it: for whoever sees the mean alone.",
    cases=cases,
)
