"""Gauss-Newton: solve the linearised equations by conjugate gradients, step, linearise again.

For a single layer the equations are linear and the first step ends it. Through a ReLU they are
linear piece by piece. Near a kink a step's slope is softened over the width of the last move: the
mean over the patterns that may come of it. Moves shrink, so at the end the kinks are sharp again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from lab.attacks.closed_form.cgls import LeastSquares, cgls, norm
from lab.attacks.closed_form.layer_equations import LayerEquations, Point
from lab.attacks.closed_form.shapes import FeatureMaps

SMALLEST_STEP = 1 / 16
NEAR_SOLUTION = 0.01
"""Below this relative residual the pattern hardly changes, and a longer inner solve pays."""
SUFFICIENT_DECREASE = 0.02
"""A step must lower ||r|| by at least this share of what a full success would."""
INNER_TOLERANCE = 0.2
"""An inner solve ends at this share of the residual: the next linearisation does better."""
STAGNATION = 0.9
"""A step that leaves more than this share of the residual counts as a failure."""
KINK_SHRINKAGE = 0.3
"""After a failure the kinks are this many times sharper."""

NOISE_FACTOR = 1.5
"""A slow step that leaves no more than this many times the noise is no failure: nothing more is to be had."""

Map = Callable[[FeatureMaps], FeatureMaps]


@dataclass(frozen=True)
class Effort:
    """How hard to try."""

    steps: int = 30
    inner: int = 40
    """Conjugate-gradient iterations a step; three times as many near the end."""
    exact: float = 1e-8
    """Relative residual at which the equations count as solved."""
    patience: int = 0
    failures: int = 2
    """So many steps may fail; one more is the last."""


@dataclass(frozen=True, eq=False)
class Step:
    """Where one Gauss-Newton step led."""

    point: Point
    residual: float
    iterations: int
    condition: float


def gauss_newton(equations: LayerEquations, start: FeatureMaps, effort: Effort, rescale: Map | None = None) -> Iterator[Step]:
    """Yield each accepted step; ends when solved, at the noise floor, or after too many failures.

    ``rescale`` is a self-adjoint change of variables that conditions the inner solves better.
    """
    rescale = rescale or (lambda values: values)
    point, failures = equations.at(start), 0
    relative = point.relative_residual
    widths = {position: float(values.square().mean().sqrt()) for position, values in point.kinks.items()}
    for _ in range(effort.steps):
        point.soften(widths)
        solved = _inner(point, effort, rescale, relative)
        better = _line_search(equations, point, rescale(solved.solution))
        if better is None:
            failures, widths = failures + 1, _sharper(widths)
        else:
            widths = _mean_moves(point, better)
            previous, point, relative = relative, better, better.relative_residual
            yield Step(point, relative, solved.iterations, solved.condition)
            slow = relative > STAGNATION * previous
            if relative <= effort.exact or _is_linear(equations) or (slow and relative <= NOISE_FACTOR * point.noise_floor):
                return
            if slow:
                failures, widths = failures + 1, _sharper(widths)
        if failures > effort.failures or (better is None and not widths):
            return


def _inner(point: Point, effort: Effort, rescale: Map, relative: float) -> LeastSquares:
    linear, size = _is_linear(point.equations), norm(point.residual)
    return cgls(
        lambda tangent: point.jvp(rescale(tangent)),
        lambda rows: rescale(point.vjp(rows)),
        point.residual,
        effort.inner if linear or relative > NEAR_SOLUTION else 3 * effort.inner,
        tolerance=effort.exact if linear else 1e-3,
        floor=size * (point.noise_floor / max(relative, 1e-300) if linear else INNER_TOLERANCE),
        patience=effort.patience,
    )


def _is_linear(equations: LayerEquations) -> bool:
    return len(equations.modules) == 1


def _sharper(widths: dict[int, float]) -> dict[int, float]:
    return {position: KINK_SHRINKAGE * width for position, width in widths.items()}


def _mean_moves(before: Point, after: Point) -> dict[int, float]:
    """How far the inputs of each ReLU moved, root mean square."""
    old = before.kinks
    return {position: float((values - old[position]).square().mean().sqrt()) for position, values in after.kinks.items()}


def _line_search(equations: LayerEquations, point: Point, direction: Tensor) -> Point | None:
    """The longest of the steps 1, 1/2, 1/4, ... that lowers the residual enough."""
    length, here = 1.0, norm(point.residual)
    while length >= SMALLEST_STEP:
        there = equations.at(point.values + length * direction)
        if norm(there.residual) < here * (1 - SUFFICIENT_DECREASE * length):
            return there
        length /= 2
    return None
