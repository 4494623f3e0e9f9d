"""Several layers solved together for the input of the lowest: a first guess, then Gauss-Newton."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn

from lab.attacks.closed_form.cgls import cgls
from lab.attacks.closed_form.conditioning import whitener
from lab.attacks.closed_form.convolution import Convolution
from lab.attacks.closed_form.gauss_newton import Effort, Step, gauss_newton
from lab.attacks.closed_form.layer_equations import LayerEquations
from lab.attacks.closed_form.nonnegative import RestartSchedule, nonnegative
from lab.attacks.closed_form.shapes import FeatureMaps

FIRST_GUESS = RestartSchedule(inner=20, growth=1.0, most=80)
ACTIVE_SHARE = 0.5
"""Of the mean active unit: guessed units above this share count as active."""
FIRST_GUESS_ITERATIONS = 20
"""Conjugate-gradient iterations of a guess through one convolution."""
JOINT = Effort(exact=2e-6)
PRECISION = torch.float32
"""Joint solves are well conditioned (about 20): single precision loses nothing and costs half."""


def first_guess(equations: LayerEquations, shape: tuple[int, ...]) -> FeatureMaps:
    """A rough input, of ``shape``: non-negative least squares on the top, then the clearly active units below it.

    Zeros where the layers are not convolution, ReLU, convolution.
    """
    zeros = torch.zeros(shape, dtype=equations.known.values.dtype)
    if [type(module) for module in equations.modules] != [nn.Conv2d, nn.ReLU, nn.Conv2d]:
        return zeros
    lowest, _, top = equations.modules
    assert isinstance(lowest, nn.Conv2d)
    alone = replace(equations, names=equations.names[-1:], modules=[top])
    with torch.no_grad():
        features = nonnegative(alone.at(torch.zeros_like(lowest(zeros))), FIRST_GUESS).solution
    clear = (features > ACTIVE_SHARE * features.sum() / (features > 0).sum().clamp_min(1)).to(features.dtype)
    operator = Convolution(lowest, shape)
    before = features if lowest.bias is None else features - lowest.bias.detach().view(1, -1, 1, 1)
    found = cgls(
        lambda x: [clear * operator.apply(x)],
        lambda r: operator.adjoint(clear * r[0]),
        [clear * before],
        FIRST_GUESS_ITERATIONS,
    )
    return found.solution


def solve(equations: LayerEquations, start: FeatureMaps, effort: Effort) -> Iterator[Step]:
    """Gauss-Newton steps in variables in which the lowest layer is well conditioned."""
    lowest = equations.modules[0]
    rescale = whitener(lowest, tuple(start.shape)) if isinstance(lowest, nn.Conv2d) else None
    return gauss_newton(equations, start, effort, rescale)
