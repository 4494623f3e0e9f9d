"""Non-negative least squares: what a ReLU gave is nowhere below zero, and mostly zero.

That a layer's input is non-negative tells what its equations alone leave open: with the silent
units known, far fewer unknowns remain, and they are well determined.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lab.attacks.closed_form.cgls import Rows, cgls, norm
from lab.attacks.closed_form.layer_equations import Point
from lab.attacks.closed_form.shapes import FeatureMaps

STAGNATION = 0.5
"""Near rounding, a round that leaves more than this share of the residual is the last."""
FLOAT32_RESIDUAL = 2e-6
"""Relative residual that rounding of a float32 gradient leaves."""


@dataclass(frozen=True, eq=False)
class RestartSchedule:
    """How long to try."""

    inner: int = 15
    """Conjugate-gradient iterations in the first round."""
    growth: float = 1.2
    """By how much each round is longer than the one before."""
    most: int = 900
    """Iterations of all rounds together."""
    exact: float = 2e-6
    """Relative residual at which the equations count as solved."""


@dataclass(frozen=True, eq=False)
class Nonnegative:
    """x = argmin ||A x - b|| over x >= 0."""

    solution: FeatureMaps
    free: FeatureMaps
    """1 where the last round could move an entry, 0 where it was held at zero."""
    iterations: int
    residual: float
    """||A x - b|| / ||b||."""


def nonnegative(point: Point, rounds: RestartSchedule) -> Nonnegative:
    """Solve the equations of one layer, linearised at zero, over non-negative inputs.

    Block pivoting (Portugal, Júdice and Vicente 1994) with conjugate gradients on the free
    entries: an entry at zero is freed where that would lower the residual, one below is put to zero.
    """
    target = point.residual
    size = norm(target)
    solution, free = 0 * point.values, 0 * point.values + 1
    rows, last, inner, iterations = list(target), size, float(rounds.inner), 0
    while iterations < rounds.most:
        count = min(int(inner), rounds.most - iterations)
        step = cgls(lambda x: point.jvp(free * x), lambda r: free * point.vjp(r), rows, count, tolerance=1e-3)  # noqa: B023
        iterations += step.iterations
        stepped, left = _clipped(point, target, solution, free * step.solution, last)
        if not norm(left) < last:
            break
        solution, rows = stepped, left
        previous, last, inner = last, norm(left), inner * rounds.growth
        if last <= rounds.exact * size or (last <= FLOAT32_RESIDUAL * size and last > STAGNATION * previous):
            break
        free = ((solution > 0) | ((point.vjp(rows) > 0) & (free == 0))).to(solution.dtype)
    return Nonnegative(solution, free, iterations, last / max(size, 1e-300))


def _clipped(point: Point, target: Rows, start: Tensor, direction: Tensor, residual: float) -> tuple[Tensor, list[Tensor]]:
    """The longest step whose non-negative part lowers the residual, and what it leaves."""
    length = 1.0
    while True:
        stepped = (start + length * direction).clamp_min(0)
        left = [wanted - made for wanted, made in zip(target, point.jvp(stepped), strict=True)]
        if norm(left) < residual or length < 0.2:
            return stepped, left
        length /= 2
