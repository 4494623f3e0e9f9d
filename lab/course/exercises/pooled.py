"""Lesson 11: what the last layer of a graph network was given, from all rows of its gradient at once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lab.course.exercises.base import Case, Exercise, Judge, equals

NOISE = 0.05
"""Deviation of the noise on each number of dL/dW, where a loud row's are about 1."""
ROWS = 400
"""So many rows, alike in loudness, leave a twentieth of the noise."""
LOUD, QUIET, CROWD = 4, 0.002, 10_000
"""Four rows of slope one leave half of the noise, a crowd of rows as quiet as that beside them leaves it so; weighed by their
slopes and not by the squares, all together leave four times the noise."""


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Two classes and three, whose slopes add up to zero, then noise: on one row or many hardly loud, and on many alike."""
    for each in ([0.75, -0.75], [0.5, -0.75, 0.25], [-0.5, 0.125, 0.25, 0.125]):
        slopes, m = torch.tensor(each, dtype=torch.float32), _drawn(7, generator)
        yield Case((torch.outer(slopes, m), slopes), _judge(slopes, m), f"for {len(slopes)} classes")
    slopes, m = torch.tensor([1.0, -1.0, 0.002], dtype=torch.float32), _drawn(8, generator)
    yield _noisy(slopes, m, generator, "with noise, and a row that is hardly loud", _QUIET, 4 * NOISE)
    signs = _drawn(LOUD + CROWD, generator).sign()
    slopes, m = torch.cat([signs[:LOUD], QUIET * signs[LOUD:]]), _drawn(20, generator)
    yield _noisy(slopes, m, generator, "with noise, and a crowd of rows that are hardly loud", _CROWD, 1.5 * NOISE)
    slopes, m = _drawn(ROWS, generator).sign(), _drawn(20, generator)
    yield _noisy(slopes, m, generator, f"with noise, on {ROWS} rows alike", _ALL, 0.25 * NOISE)


_QUIET = "a quiet row, divided by next to nothing, is mostly noise: weigh each row by how loud it is."
_CROWD = "of many quiet rows the noise adds up: weigh each row's own answer by the square of its slope, as least squares does."
_ALL = "one row keeps all of its noise: all rows hold the same vector, so let all of them have their say."


def _drawn(numbers: int, generator: torch.Generator) -> Tensor:
    return torch.randn(numbers, generator=generator, dtype=torch.float32)


def _noisy(slopes: Tensor, m: Tensor, generator: torch.Generator, where: str, hint: str, tolerance: float) -> Case:
    noise = NOISE * torch.randn(len(slopes), len(m), generator=generator, dtype=torch.float32)
    return Case((torch.outer(slopes, m) + noise, slopes), _judge(slopes, m, hint, tolerance), where)


def _judge(slopes: Tensor, m: Tensor, instead: str = "", tolerance: float = 1e-4) -> Judge:
    product = slopes.square().sum() * m
    return equals(
        m,
        (product, "this is the sum of the rows, each by its own slope; divide it by the sum of the slopes' squares."),
        (product / slopes.norm(), "divide by the sum of the squares, not by its root."),
        (product / len(slopes), "divide by the sum of the slopes' squares; a mean leaves their size in."),
        (slopes.abs().max() * m, "this is a row of dL/dW and not yet divided by its slope."),
        (slopes[0] * m, "this is a row of dL/dW and not yet divided by its slope."),
        (slopes, "this has one number for each class; the vector has one for each number that entered the layer."),
        (m.expand(len(slopes), -1), "every row holds the vector once more; one is enough, of shape (width,)."),
        tolerance=tolerance,
        instead=instead,
    )


EXERCISE = Exercise(
    lesson=11,
    task="pooled(dW, db): what entered the last layer, shape (width,), from dL/dW (classes, width) and dL/db (classes,)",
    praise="Proposition 3.1 again, by least squares over all rows: the first of four steps from a gradient to a molecule.",
    cases=cases,
)
