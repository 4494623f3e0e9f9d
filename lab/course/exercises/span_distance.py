"""Lesson 10: from a system to a span, where only a list of candidates is needed."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lab.course.exercises.base import Case, Exercise, Judge, equals

ROUNDING = 1e-8
"""Of the largest number of a gradient: what stays of it below single precision."""
WEAK = 1e-3
"""How much the quietest input counts beside the loudest."""
FAINT = 1e-9
"""Of a gradient late in training, or of a loss that is scaled: what counts as rounding is relative to its largest direction."""


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Few inputs and many, loud and quiet ones, candidates of any length, faint and steep gradients, a span of all there is."""
    for inputs, width, outputs in ((3, 12, 20), (8, 10, 30), (1, 6, 4)):
        entered = _drawn(inputs, width, generator)
        yield _case(entered, _drawn(inputs, outputs, generator), generator, f"for {inputs} of {width} directions")
    entered, slopes = _drawn(4, 12, generator), _drawn(4, 20, generator)
    slopes[0] *= WEAK
    yield _case(entered, slopes, generator, "where one input counts a thousandth of the others", weak=entered[1:])
    for scale, where in ((FAINT, "where the whole gradient is faint"), (1 / FAINT, "where the whole gradient is steep")):
        entered, slopes = _drawn(3, 12, generator), scale * _drawn(3, 20, generator)
        yield _case(entered, slopes, generator, where, instead=_ABSOLUTE)
    entered = _drawn(6, 6, generator)
    yield _case(entered, _drawn(6, 9, generator), generator, "where every direction is told")


def _drawn(rows: int, numbers: int, generator: torch.Generator) -> Tensor:
    return torch.randn(rows, numbers, generator=generator, dtype=torch.float64)


def _case(
    entered: Tensor, slopes: Tensor, generator: torch.Generator, where: str, weak: Tensor | None = None, instead: str = ""
) -> Case:
    """A gradient that these inputs leave, and as candidates two of them, a mixture of all, and others, longer and shorter."""
    gradient = slopes.T @ entered
    gradient = gradient + ROUNDING * gradient.abs().max() * _drawn(*gradient.shape, generator)
    others = _drawn(3, entered.shape[1], generator) * torch.tensor([[0.1], [1.0], [30.0]], dtype=torch.float64)
    candidates = torch.cat([entered[:1], 5 * entered[-1:], entered.sum(0, keepdim=True), others])
    return Case((gradient, candidates), _judge(gradient, entered, candidates, weak, instead), where)


def _judge(gradient: Tensor, entered: Tensor, candidates: Tensor, weak: Tensor | None, instead: str) -> Judge:
    right, lengths = _outside(entered, candidates), candidates.norm(dim=1)
    return equals(
        right,
        ((1 - right.square()).clamp_min(0).sqrt(), "this is the share inside the span; the distance is the share outside."),
        (right * lengths, "divide by each candidate's own length, or long words look far and short ones near."),
        (right.square(), "this is squared; the distance is the length of what sticks out."),
        (_outside(gradient, candidates), _ROUNDED),
        (
            _outside(_loudest(gradient), candidates),
            "one direction is not all: the inputs span as many as stand above rounding.",
        ),
        (1 - (candidates @ entered.T / lengths[:, None] / entered.norm(dim=1)).abs().max(1).values, _NEAREST),
        *([] if weak is None else [(_outside(weak, candidates), _QUIET)]),
        tolerance=1e-3,
        floor=1e-2,
        instead=instead,
    )


_ROUNDED = "rounding gives every direction a little, so nothing sticks out: take those above a millionth of the largest alone."
_ABSOLUTE = "how large a gradient is says nothing of rounding: hold each singular value against the largest one."
_NEAREST = "a mixture of inputs is in the span and near to none of them: take all directions together."
_QUIET = "a quiet input is one, too: a thousandth of the largest is far above rounding, which is below a millionth."


def _outside(entered: Tensor, candidates: Tensor) -> Tensor:
    """By least squares: the share of each candidate that no mixture of these rows explains."""
    mixtures = torch.linalg.lstsq(entered.T, candidates.T, driver="gelsd").solution
    return (candidates.T - entered.T @ mixtures).norm(dim=0) / candidates.norm(dim=1)


def _loudest(gradient: Tensor) -> Tensor:
    return torch.linalg.svd(gradient, full_matrices=False)[2][:1]


EXERCISE = Exercise(
    lesson=10,
    task="span_distance(gradient, candidates): what share of each candidate (candidates, width) lies outside the rows' span",
    praise="Nothing was searched: whoever can list what an input may be holds the list against the span and reads the answer.",
    cases=cases,
)
