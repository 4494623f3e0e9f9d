"""Lesson 10: where the span fills the space, and every word fits."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from lab.course.exercises.base import Case, Exercise, Judge, equals


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Widths of some tens, and the two least, where nothing can be read."""
    for width in (*torch.randint(8, 90, (3,), generator=generator).tolist(), 2, 1):
        yield Case((width,), _judge(width, generator), f"for width {width}")


def _judge(width: int, generator: torch.Generator) -> Judge:
    directions = _directions(width, generator)
    right = max(directions - 1, 0)
    return equals(
        right,
        (width, "LayerNorm takes the mean off each vector, so not all directions can be filled; and one has to stay empty."),
        (width - 1, "so many fill all directions that LayerNorm leaves, and then any word fits; one has to stay empty."),
        (width + 1, "there are no more directions than the width has numbers, and fewer behind LayerNorm."),
        (width // 2, "half is more careful than it need be: one direction that stays empty tells a wrong word."),
        (width - 2, "there is no text of less than no words; give 0 where nothing can be read."),
        (right - 1, "one more may be read: as long as a single direction stays empty, a wrong word sticks out into it."),
        tolerance=0.0,
    )


def _directions(width: int, generator: torch.Generator) -> int:
    """How many directions vectors can span whose mean LayerNorm took off: measured on more of them than there are numbers."""
    vectors = torch.randn(2 * width, width, generator=generator, dtype=torch.float64)
    return int(torch.linalg.matrix_rank(vectors - vectors.mean(1, keepdim=True), rtol=1e-9))


EXERCISE = Exercise(
    lesson=10,
    task="longest_safe(width): how many words at places a gradient may hold so that a wrong one still lies outside their span",
    praise="A number that can be tried: up to it every word is read, one more, and the gradient tells nothing any more.",
    cases=cases,
)
