"""Lesson 12: so much one example may change, and no more."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from lab.course.exercises.base import Case, Exercise, Judge, equals


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Long examples and short ones, an example without any gradient, all short, all long."""
    for lengths, longest, where in (
        ((0.2, 3.0, 0.9, 7.0, 1.5), 1.0, "with long and short examples"),
        ((4.0, 0.0, 0.5), 2.0, "where one example's gradient is zero"),
        ((0.1, 0.2), 5.0, "where no example is longer than the bound"),
        ((30.0, 20.0, 80.0, 25.0), 0.1, "where all examples are longer"),
    ):
        drawn = torch.randn(len(lengths), 12, generator=generator, dtype=torch.float32)
        directions = drawn / drawn.norm(dim=1, keepdim=True)
        sizes = torch.tensor(lengths, dtype=torch.float32)[:, None]
        yield Case((sizes * directions, longest), _judge(directions, sizes, longest), where)


def _judge(directions: torch.Tensor, sizes: torch.Tensor, longest: float) -> Judge:
    """What is right is told by how the rows were made: a direction times a length."""
    each, right = sizes * directions, sizes.clamp_max(longest) * directions
    dropped = torch.where(sizes > longest, 0.0, sizes) * directions
    return equals(
        right,
        (longest * directions, "short examples were stretched; whatever is no longer than the bound stays as it is."),
        (_clipped(each, longest), "this clips all examples together; each has a length of its own."),
        (each.clamp(-longest, longest), "this cuts single numbers, which turns the gradient; shorten the whole row."),
        (each * (longest / each.norm(dim=0)).clamp_max(1.0), "these are the lengths of columns; an example is a row."),
        (each * (longest / each.abs().sum(1, keepdim=True)).clamp_max(1.0), "the length is the root of the sum of squares."),
        (dropped, "long examples were thrown away; shorten them to the bound."),
        (right.sum(0), "give the rows, each clipped; they are added up later."),
        (right.mean(0), "give the rows, each clipped; they are added up later."),
        (_clipped(each.mean(0), longest), "this clips the mean, in which a single example may be as long as it likes."),
    )


def _clipped(numbers: torch.Tensor, longest: float) -> torch.Tensor:
    """All of them together, as one row, by their one length."""
    return numbers * min(1.0, longest / float(numbers.norm()))


EXERCISE = Exercise(
    lesson=12,
    task="clip_per_example(each, longest): one example's gradient a row, each shortened to the bound where it is longer",
    praise="Now no example moves the sum by more than the bound, whatever it shows: that is what noise can be measured by.",
    cases=cases,
)
