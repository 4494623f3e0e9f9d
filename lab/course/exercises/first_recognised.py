"""Lesson 0: from which frame on the secret was out."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from lab.course.exercises.base import Case, Exercise, Judge, equals

THRESHOLD = 0.75


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Runs that get there and fall back, that touch the threshold, that begin above it, and one that never gets there."""
    noise = torch.rand(3, generator=generator, dtype=torch.float32)
    rising = [round(0.1 + 0.05 * step + 0.02 * float(noise[step % 3]), 3) for step in range(16)]
    yield Case((rising, THRESHOLD), _first(rising), "on a run that slowly rises")
    falling = [0.2, 0.5, 0.8, 0.9, 0.6, 0.85]
    yield Case((falling, THRESHOLD), _first(falling), "on a run that falls back under the threshold")
    touching = [0.1, 0.3, THRESHOLD, 0.9]
    yield Case((touching, THRESHOLD), _first(touching), "on a run that exactly touches the threshold")
    yield Case(([0.9, 0.95], THRESHOLD), _first([0.9, 0.95]), "on a run that is above the threshold at once")
    yield Case(([0.1, 0.4, 0.3], THRESHOLD), _never, "on a run that never gets there")


def _first(likeness: list[float]) -> Judge:
    above = [step for step, value in enumerate(likeness) if value >= THRESHOLD]
    strictly = [step for step, value in enumerate(likeness) if value > THRESHOLD]
    best = max(range(len(likeness)), key=likeness.__getitem__)
    return equals(
        above[0],
        (strictly[0], "a frame exactly at the threshold counts as well: compare with >=."),
        (best, "this is the best frame; the secret was out at the first one above the threshold."),
        (likeness[above[0]], "this is a likeness; give the number of the frame, counted from 0."),
        (above[0] + 1, "this counts from 1; frames are counted from 0, as Python does."),
        (above[-1], "this is the last frame above the threshold; once seen, a secret is out: give the first."),
        (None, "this run does reach the threshold; `None` is for one that never does."),
        tolerance=0.0,
    )


def _never(answer: object) -> str:
    if answer is None:
        return ""
    return "no frame reaches the threshold here, and every number is the number of some frame; give `None`."


EXERCISE = Exercise(
    lesson=0,
    task="first_recognised(likeness, threshold): the number of the first frame at or above the threshold, None where none is",
    praise="A run is judged by its first leak: what the server has seen once, it has seen.",
    cases=cases,
)
