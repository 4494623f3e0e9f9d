"""Lesson 6: how many steps a client takes before it sends."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import torch

from lab.course.exercises.base import Case, Exercise, Judge, equals


def cases(generator: torch.Generator) -> Iterator[Case]:
    """The rows of Table 2, a last batch that is not full, and one picture."""
    extra = int(torch.randint(3, 9, (), generator=generator))
    for epochs, pictures, batch in ((1, 8, 2), (5, 8, 8), (5, 1, 1), (2, 7, 3), (3, extra, 2)):
        yield Case((epochs, pictures, batch), _judge(epochs, pictures, batch), f"for E = {epochs}, n = {pictures}, B = {batch}")


def _judge(epochs: int, pictures: int, batch: int) -> Judge:
    return equals(
        epochs * ceil(pictures / batch),
        (epochs * (pictures // batch), "the last, smaller batch of an epoch is a step too: round up."),
        (ceil(pictures / batch), "this is one epoch; the client goes through its pictures E times."),
        (epochs * pictures, "a step takes B pictures at once, so an epoch has n / B of them."),
        (epochs * pictures / batch, "there are no fractions of a step: each epoch ends with a smaller batch."),
        (ceil(epochs * pictures / batch), "round up within each epoch: no batch reaches over its end."),
        (epochs * batch, "B is the size of a batch; how many fit into n pictures?"),
        tolerance=0.0,
    )


EXERCISE = Exercise(
    lesson=6,
    task="local_updates(E, n, B): the SGD steps of E epochs over n pictures in batches of B",
    praise="The server knows this number as well as the client: it can take every one of these steps with a guess of its own.",
    cases=cases,
)
