"""Lesson 10: from one ratio to a linear system."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lab.course.exercises.base import Case, Exercise, Judge, equals

NOISE = 0.02
"""Deviation of the noise on each number, where the numbers themselves are about 1."""


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Few patches and several, more numbers to a token than needed, one patch alone, and noise that many equations average."""
    for count, width, numbers in ((3, 8, 5), (6, 16, 4), (4, 12, 12), (1, 7, 3)):
        told, x = _drawn(count, width, numbers, generator)
        where = f"for {count} {'patch' if count == 1 else 'patches'} and {width} numbers to a token"
        yield Case((told, told.T @ x), _judge(told, x), where)
    told, x = _drawn(5, 200, 6, generator)
    noise = NOISE * torch.randn(200, 6, generator=generator, dtype=torch.float32)
    yield Case((told, told.T @ x + noise), _judge(told, x, _ALL, 0.4 * NOISE), "with noise on dL/dW")


_ALL = "with noise on every equation use all of them: least squares, not as many equations as there are patches."


def _drawn(count: int, width: int, numbers: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """dL/dpos (patches, width), no two rows alike and none perpendicular, and the patches (patches, numbers)."""
    told = torch.randn(count, width, generator=generator, dtype=torch.float32) + 0.3
    return told, torch.rand(count, numbers, generator=generator, dtype=torch.float32) + 0.1


def _judge(told: Tensor, x: Tensor, instead: str = "", tolerance: float = 1e-3) -> Judge:
    dW = told.T @ x
    return equals(
        x,
        (x.T, "the patches are the columns of this; give one row for each patch."),
        (told @ dW, "this weighs dL/dW by dL/dpos and solves nothing: the system is dL/dpos^T X = dL/dW."),
        (told @ dW / told.square().sum(1, keepdim=True), _ALONE),
        (torch.stack([dW[place] / told[place, place] for place in range(min(told.shape))]), _ALONE),
        (dW[0] / told[0, 0], _ALONE),
        (x.flip(0), "the patches are there in another order: row t of X belongs to row t of dL/dpos."),
        (x.mean(0), "this is the mean of the patches; the system tells each of them."),
        tolerance=tolerance,
        instead=instead,
    )


_ALONE = "this divides as if one patch were alone; every number of dL/dW is a sum over all patches, so solve for all at once."

EXERCISE = Exercise(
    lesson=10,
    task="patches(dpos, dW): all patches (patches, numbers) from dL/dpos (patches, width) and dL/dW (width, numbers)",
    praise="One ratio was the case of a single patch. What stands above the first layer was asked for nothing, again.",
    cases=cases,
)
