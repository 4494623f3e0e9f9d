"""Gauss-Newton: solve the linearised equations by conjugate gradients, step, linearise again.

For a single layer the equations are linear and the first step ends it. Through a ReLU they are
linear piece by piece: each step solves with the pattern of the moment, and near the solution,
where the pattern no longer changes, one step more is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from lab.peeling.conjugate_gradients import cgls, norm
from lab.peeling.smoothing import smoother
from lab.peeling.stretch import Point, Stretch

SMALLEST_STEP = 1 / 32
FAR = 0.03
"""Above this relative residual the pattern still changes, and a rough direction does."""
ENOUGH = 0.02
"""A step must lower ||r|| by at least this share of what a full success would."""


@dataclass(frozen=True)
class Effort:
    """How hard to try."""

    steps: int = 16
    inner: int = 40
    """Conjugate-gradient iterations a step."""
    exact: float = 1e-8
    """Relative residual at which the equations count as solved."""
    patience: int = 0
    smoothing: float = 0.0
    """Power of the damping of fine detail (see ``smoothing``); only for a stretch that begins at the picture."""
    stalled: float = 0.95
    """A step that leaves more than this share of the residual is the last."""


@dataclass(frozen=True, eq=False)
class Step:
    """Where one Gauss-Newton step led."""

    point: Point
    residual: float
    iterations: int
    condition: float


def gauss_newton(stretch: Stretch, start: Tensor, effort: Effort) -> Iterator[Step]:
    """Yield each accepted step; ends when solved, at the noise floor, or when no step lowers the residual."""
    point, smooth = stretch.at(start), smoother(effort.smoothing, start)
    relative = point.relative_residual
    for _ in range(effort.steps):
        solved = cgls(
            lambda moved, at=point: at.tangent(smooth(moved)),
            lambda rows, at=point: smooth(at.cotangent(rows)),
            point.residual,
            effort.inner,
            tolerance=effort.exact if _is_linear(stretch) else 1e-2 if relative > FAR else 1e-3,
            floor=point.noise_floor * norm(point.residual) / max(relative, 1e-300) if _is_linear(stretch) else 0.0,
            patience=effort.patience,
        )
        better = _line_search(stretch, point, smooth(solved.solution))
        if better is None:
            return
        previous, point, relative = relative, better, better.relative_residual
        yield Step(point, relative, solved.iterations, solved.condition)
        if relative <= effort.exact or relative > effort.stalled * previous or _is_linear(stretch):
            return


def _is_linear(stretch: Stretch) -> bool:
    return len(stretch.modules) == 1


def _line_search(stretch: Stretch, point: Point, direction: Tensor) -> Point | None:
    """The longest of the steps 1, 1/2, 1/4, ... that lowers the residual enough."""
    length, here = 1.0, norm(point.residual)
    while length >= SMALLEST_STEP:
        there = stretch.at(point.values + length * direction)
        if norm(there.residual) < here * (1 - ENOUGH * length):
            return there
        length /= 2
    return None
