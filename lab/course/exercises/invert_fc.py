"""Lesson 2: Proposition 3.1 as a function."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lab.course.exercises.base import Case, Exercise, Judge, equals

OUTPUTS, INPUTS = 6, 10


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Layers of several shapes: all units loud, some silent, the loudest one negative, and noise that drowns the quiet ones."""
    for outputs, inputs in ((OUTPUTS, INPUTS), (9, 4), (5, 5)):
        delta, x = _drawn(outputs, inputs, generator)
        yield Case((torch.outer(delta, x), delta), _judge(delta, x), f"for {outputs} units and {inputs} inputs")
    delta, x = _drawn(OUTPUTS, INPUTS, generator)
    delta[:2] = 0.0
    yield Case((torch.outer(delta, x), delta), _judge(delta, x, _SILENT), "with two silent units (dL/db_i = 0)")
    delta, x = _drawn(OUTPUTS, INPUTS, generator)
    delta = torch.where(torch.arange(OUTPUTS) == 3, -2.0, 1e-4 * delta.abs())
    noise = 1e-4 * torch.randn(OUTPUTS, INPUTS, generator=generator, dtype=torch.float32)
    yield Case((torch.outer(delta, x) + noise, delta), _judge(delta, x, _QUIET, 0.01), "with noise, the loudest unit negative")


_SILENT = "a silent unit gives 0 / 0: choose a row i with dL/db_i != 0, the largest |dL/db_i| say."
_QUIET = "this divided by a quiet unit, where noise is as large as the numbers: take the largest |dL/db_i|, sign aside."


def _drawn(outputs: int, inputs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """dL/dz of each unit, away from zero, and the layer's input."""
    delta = torch.randn(outputs, generator=generator, dtype=torch.float32)
    return delta + delta.sign(), torch.randn(inputs, generator=generator, dtype=torch.float32)


def _judge(delta: Tensor, x: Tensor, instead: str = "", tolerance: float = 1e-3) -> Judge:
    return equals(
        x,
        (1 / x, "this is dL/db_i over dL/dW_i, upside down: the input is dL/dW_i divided by dL/db_i."),
        (delta, "this is a column: dL/dW_i is row i, one number for each input."),
        (x.flip(0), "the numbers are there in another order: entry j of x belongs to column j of dL/dW."),
        (
            torch.outer(delta, x) / delta.unsqueeze(1),
            "every row holds the input once more; one row is enough, of shape (inputs,).",
        ),
        (delta.abs().max() * x, "this is a row of dL/dW and not yet divided by its dL/db_i."),
        (delta[delta.abs().argmax()] * x, "this is a row of dL/dW and not yet divided by its dL/db_i."),
        (delta[0] * x, "this is a row of dL/dW and not yet divided by its dL/db_i."),
        (_column(delta, x), "you divided a column: dL/dW_i is row i, dW[i], one number for each input."),
        tolerance=tolerance,
        instead=instead,
    )


def _column(delta: Tensor, x: Tensor) -> Tensor:
    """A column of dL/dW over the bias gradient: the same number again and again."""
    return x[0].expand(len(delta)) if len(delta) != len(x) else torch.outer(delta, x)[:, 0] / delta


EXERCISE = Exercise(
    lesson=2,
    task="invert_fc(dW, db): the input x of a fully connected layer from dL/dW (outputs, inputs) and dL/db (outputs,)",
    praise="Three shapes, silent units and noise: one division, and the layer's input is on the table.",
    cases=cases,
)
