"""Lesson 8: the score that everybody quotes."""

from __future__ import annotations

from collections.abc import Iterator
from math import log, log10

import torch
from torch import Tensor

from lab.course.exercises.base import Case, Exercise, Judge, equals


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Near and far pictures, grey and colour, and one against a constant grey."""
    for shape, gap in (((3, 8, 8), 0.05), ((1, 6, 9), 0.3)):
        x = torch.rand(shape, generator=generator, dtype=torch.float32)
        near = (x + gap * torch.randn(shape, generator=generator, dtype=torch.float32)).clamp(0, 1)
        yield Case((near, x), _judge(near, x), f"on two pictures of shape {shape}")
    grey = torch.full_like(x, 0.5)
    yield Case((grey, x), _judge(grey, x), "on a grey square")


def _judge(a: Tensor, b: Tensor) -> Judge:
    mse = float((a - b).square().mean())
    total = float((a - b).square().sum())
    return equals(
        -10 * log10(mse),
        (10 * log10(mse), "the sign is turned: a smaller error is a larger PSNR, 10 log10(1 / MSE)."),
        (-20 * log10(mse), "20 log10 belongs to the root of the MSE; for the MSE itself it is 10 log10."),
        (-10 * log10(mse) / 2, "this took 10 log10 of the root of the MSE; for the root it is 20."),
        (-10 * log(mse), "decibels take the logarithm to base 10, not the natural one."),
        (-log10(mse), "a decibel is a tenth of a bel: the factor 10 is missing."),
        (-10 * log10(total), "this is the sum of square errors; PSNR takes the mean, so that picture size does not matter."),
        (10 * log10(255**2 / mse), "pixels lie in [0, 1] here, so the peak is 1 and not 255."),
        (mse, "this is the MSE; put it on the decibel scale."),
        (-10 * log10(float((a - b).abs().mean())), "this is the mean absolute error; PSNR takes the mean square."),
        floor=1.0,
    )


EXERCISE = Exercise(
    lesson=8,
    task="psnr_db(a, b): 10 log10(1 / MSE) of two pictures with pixels in [0, 1]",
    praise="One number for a whole picture. A grey square scores well above zero: what does the number know of content?",
    cases=cases,
)
