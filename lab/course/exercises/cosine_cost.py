"""Lesson 4: the paper's cost."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from lab.course.exercises.base import Case, Exercise, Judge, equals

SHAPES = ((4, 3), (4,), (2, 4), (2,))
Update = list[Tensor]


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Updates of several tensors, loud and quiet; the same one longer, turned round, and at a right angle."""
    g, star = _drawn(generator), _drawn(generator)
    yield Case((g, star), _judge(g, star), "on two random updates of four tensors")
    loud = [100 * g[0], *g[1:]]
    yield Case((loud, star), _judge(loud, star), "where one tensor is much longer than the others")
    longer = [7.0 * tensor for tensor in g]
    yield Case((longer, g), _judge(longer, g), "where one update is 7 times the other")
    turned = [-tensor for tensor in g]
    yield Case((turned, g), _judge(turned, g), "where the updates are opposite")
    single = [torch.tensor([0.0, 2.0], dtype=torch.float32)], [torch.tensor([3.0, 0.0], dtype=torch.float32)]
    yield Case(single, _judge(*single), "at a right angle")


def _drawn(generator: torch.Generator) -> Update:
    return [torch.randn(shape, generator=generator, dtype=torch.float32) * (index + 1) for index, shape in enumerate(SHAPES)]


def _judge(g: Update, star: Update) -> Judge:
    flat, flat_star = torch.cat([t.flatten() for t in g]), torch.cat([t.flatten() for t in star])
    cosine = functional.cosine_similarity(flat, flat_star, dim=0)
    each = torch.stack([functional.cosine_similarity(a.flatten(), b.flatten(), dim=0) for a, b in zip(g, star, strict=True)])
    return equals(
        1 - cosine,
        (cosine, "this is the cosine itself, which grows as the updates agree; a cost shrinks: 1 - cos."),
        (1 + cosine, "the sign is turned: equal directions should cost 0, opposite ones 2."),
        (1 - each.mean(), "this is the mean over tensors; the paper takes one angle over all parameters together."),
        ((1 - each).sum(), "this adds an angle for each tensor; the paper takes one angle over all parameters together."),
        (1 - each, "this is a cost for each tensor; the paper takes one angle over all parameters together."),
        (1 - flat.dot(flat_star), "the product is not divided by the two lengths yet."),
        (-flat.dot(flat_star), "the product is not divided by the two lengths yet."),
        (1 - flat.dot(flat_star) / (flat.norm() * flat_star.norm()).square(), "divide by the lengths, not by their squares."),
        (1 - flat.dot(flat_star) / flat_star.norm().square(), "divide by both lengths, the candidate's as well."),
        ((flat - flat_star).square().sum(), "this is the Euclidean cost, which sees length; the cosine sees direction alone."),
        floor=1.0,
    )


EXERCISE = Exercise(
    lesson=4,
    task="cosine_cost(g, g_star): 1 - cos of the angle between two updates, each a list of tensors",
    praise="One angle over all parameters, blind to length: 0 for equal directions, 1 for a right angle, 2 for opposite ones.",
    cases=cases,
)
