"""Lesson 4: the 0.5 x loss puzzle. What both costs say of the true picture when client and server scale the loss apart."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lab.course.exercises.base import Case, Exercise, Judge, equals


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Half the loss, the same loss, three times the loss, of updates of different lengths."""
    for factor, size in ((0.5, 1.0), (1.0, 3.0), (3.0, 0.2)):
        g = size * torch.randn(8, generator=generator, dtype=torch.float32)
        yield Case((g, factor), _judge(g, factor), f"where the client's loss has the factor {factor:g}")


def _judge(g: Tensor, factor: float) -> Judge:
    square = float(g.square().sum())
    apart = (1 - factor) ** 2 * square
    wrong_length = abs(1 - factor) * square**0.5
    return equals(
        (0.0, apart),
        ((0.0, wrong_length), "the Euclidean cost is the square of the length of the difference."),
        ((0.0, abs(1 - factor) * square), "(1 - c) is squared as well, since ||g - c g||^2 = (1 - c)^2 ||g||^2."),
        ((0.0, factor**2 * square), "this is the length of what was shared; the cost is that of the difference g - c g."),
        ((0.0, 0.0), "the cosine does not see the factor, but the Euclidean cost does: g and c g differ in length."),
        ((1.0, apart), "equal directions have the cosine 1 and so the cost 1 - 1."),
        ((1 - factor, apart), "the factor changes the length alone, so the angle, and with it the cosine's cost, stays."),
        ((apart, 0.0), "the order is (cosine, Euclidean)."),
        floor=1e-3,
    )


EXERCISE = Exercise(
    lesson=4,
    task="cost_at_the_truth(g, c): (cosine cost, squared Euclidean cost) of the candidate's g against the shared c g, c > 0",
    praise="The true picture costs the cosine nothing, whatever the factor. The Euclidean cost charges it for the factor.",
    cases=cases,
)
