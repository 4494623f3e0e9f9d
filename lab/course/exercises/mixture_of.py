"""Lesson 2: what the division gives when several pictures share a gradient."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lab.course.exercises.base import Case, Exercise, Judge, equals


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Batches of two and three, slopes of both signs, and one where a single picture alone drives the unit."""
    for pictures, inputs in ((2, 5), (3, 7)):
        delta = torch.rand(pictures, generator=generator, dtype=torch.float32) + 0.2
        delta[0] *= -0.3
        x = torch.rand(pictures, inputs, generator=generator, dtype=torch.float32)
        yield Case((delta, x), _judge(delta, x), f"for a batch of {pictures}")
    delta, x = torch.tensor([0.0, 0.7, 0.0], dtype=torch.float32), torch.rand(3, 4, generator=generator, dtype=torch.float32)
    yield Case((delta, x), _judge(delta, x), "where one picture alone drives the unit")


def _judge(delta: Tensor, x: Tensor) -> Judge:
    row = (delta.unsqueeze(1) * x).mean(0)
    right = row / delta.mean()
    return equals(
        right,
        (x.mean(0), "this is the plain mean: each picture counts by its own dL/dz, not alike."),
        (row, "this is row i of dL/dW; divide it by dL/db_i, the sum (or mean) of the same slopes."),
        (row * len(x), "this is row i of dL/dW; divide it by dL/db_i, the sum (or mean) of the same slopes."),
        (row / delta.sum(), "sum above and mean below (or the other way round): the batch size cancels only if both agree."),
        (row * len(x) / delta.mean(), "sum above and mean below (or the other way round): take both alike."),
        (_by_size(delta, x), "slopes keep their sign: a negative one subtracts its picture from the mixture."),
        ((x * delta.softmax(0).unsqueeze(1)).sum(0), "no softmax here: the weights are delta_k over their sum."),
        (x[delta.abs().argmax()], "the loudest picture is not alone: every picture with dL/dz != 0 is in the ratio."),
        (right.expand_as(x), "one mixture of shape (inputs,) is enough."),
    )


def _by_size(delta: Tensor, x: Tensor) -> Tensor:
    return (delta.abs().unsqueeze(1) * x).sum(0) / delta.abs().sum()


EXERCISE = Exercise(
    lesson=2,
    task="mixture_of(delta, x): what (dL/dW_i) / (dL/db_i) is for slopes delta (pictures,) and inputs x (pictures, inputs)",
    praise="A weighted mean whose weights may be negative; one single picture only where that one alone drives the unit.",
    cases=cases,
)
