"""Lesson 12: what rounds of noise promise together, by Renyi's divergences (Mironov 2017)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from lab.course.exercises.base import Case, Exercise, Judge, equals

ORDERS = 1 + torch.logspace(-1, 2, 151, dtype=torch.float64)
"""Around the best of every case, and so near to each other that the best of them is within 1e-3 of the best of all."""
FINE = 1001
"""Places at which a density is taken, ten deviations of room on either side: several a deviation."""


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Much noise and little, one round and many, chances of several sizes."""
    for multiplier, steps, delta in ((1.0, 30, 1e-5), (4.0, 200, 1e-6), (0.8, 1, 1e-5), (20.0, 7, 1e-3)):
        drawn = multiplier * (1 + 0.2 * float(torch.rand((), generator=generator, dtype=torch.float64)))
        drawn = round(drawn, 3)
        where = f"for noise {drawn:g}, {steps} round{'s' * (steps > 1)} and delta {delta:g}"
        yield Case((drawn, steps, delta), _judge(drawn, steps, delta), where)


def _judge(multiplier: float, steps: int, delta: float) -> Judge:
    rho, once, surprise = steps / (2 * multiplier**2), 1 / (2 * multiplier**2), math.log(1 / delta)
    chance = 2 * math.sqrt(once * surprise)
    return equals(
        promised(multiplier, steps, delta),
        (once + chance, "this is one round; every further one tells a little more."),
        (steps * (once + chance), _ADDED),
        (math.sqrt(steps) * (once + chance), _ADDED),
        (2 * math.sqrt(rho * surprise), "what does not fade for any delta is missing: T alpha / (2 sigma^2) at alpha = 1."),
        (rho, "what delta buys is missing: ln(1 / delta) / (alpha - 1), for the best alpha."),
        (rho + math.sqrt(rho * surprise), "differentiate once more: at the best alpha both parts that depend on it are alike."),
        (rho + 2 * math.sqrt(rho * math.log10(1 / delta)), "the logarithm is the natural one, `math.log`."),
        (2 * rho + 2 * math.sqrt(2 * rho * surprise), "the divergence is alpha / (2 sigma^2) a round; the 2 is missing."),
        (_of(steps / (2 * multiplier), surprise), "the divergence falls with the square of the noise."),
        (_of(steps**2 * once, surprise), "the divergences of T rounds add up: T of them, not T squared."),
        (2 * rho + surprise, "this is the order alpha = 2 alone; take the order for which epsilon is least."),
        (
            sharper(multiplier, steps, delta),
            "this converts more sharply, as Opacus does, and is true; the task has a simpler form.",
        ),
        tolerance=2e-3,
    )


_ADDED = "epsilons do not add up so: add the divergences of all rounds first, and make one epsilon of the sum."


def _of(rho: float, surprise: float) -> float:
    return rho + 2 * math.sqrt(rho * surprise)


def promised(multiplier: float, steps: int, delta: float) -> float:
    """The least over the orders of T D_alpha + ln(1 / delta) / (alpha - 1), each divergence measured, by no formula."""
    found = steps * divergences(multiplier) + math.log(1 / delta) / (ORDERS - 1)
    return float(found.min())


def sharper(multiplier: float, steps: int, delta: float) -> float:
    """With the conversion of Balle et al. 2020, which Opacus has: ln(1 - 1 / alpha) - ln(delta alpha) / (alpha - 1)."""
    converted = (1 - 1 / ORDERS).log() - (delta * ORDERS).log() / (ORDERS - 1)
    return float((steps * divergences(multiplier) + converted).min())


def divergences(multiplier: float) -> torch.Tensor:
    """Renyi's divergence of every order between noise around 1 and the same noise around 0, by adding up densities."""
    room = 10 * multiplier
    share = torch.linspace(0, 1, FINE, dtype=torch.float64)
    width = ORDERS + 2 * room
    places = -room + share * width[:, None]
    ratio = (places - 0.5) / multiplier**2  # log p(x) / q(x) for two bells one apart
    below = -places.square() / (2 * multiplier**2) - math.log(multiplier * math.sqrt(2 * math.pi))
    total = torch.logsumexp(ORDERS[:, None] * ratio + below, dim=1) + (width / (FINE - 1)).log()
    return total / (ORDERS - 1)


EXERCISE = Exercise(
    lesson=12,
    task="epsilon_of(multiplier, steps, delta): what rounds of noise promise, by the best order of Renyi's divergence",
    praise="Noise, rounds and a chance, and no word of pictures. Opacus' conversion is a little sharper, yours easier to keep.",
    cases=cases,
)
