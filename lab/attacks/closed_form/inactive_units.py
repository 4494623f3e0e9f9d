"""Which units of a ReLU layer were silent, told from an input that is known almost exactly.

Silent units come out as rounding noise, active ones far above it. What lies between the two, and
what the equations leave open, is named in doubt rather than guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.attacks.closed_form.cgls import cgls
from lab.attacks.closed_form.layer_equations import LayerEquations, Point
from lab.attacks.closed_form.nonnegative import FLOAT32_RESIDUAL, RestartSchedule, nonnegative
from lab.attacks.closed_form.shapes import FeatureMaps, UnitMask

NOISE_BELOW = 1e-4
"""Entries below this share of the root mean square are mostly noise; their size tells the noise level."""
MIN_NOISE_SAMPLES = 50
"""So many small entries tell the noise level; fewer leave it at ``DEFAULT_NOISE``."""
DEFAULT_NOISE = 1e-5
ACTIVE_FACTOR = 4.0
"""A unit is active above this many times what 99.9 % of the noise stays below."""
UNCERTAIN_BAND = (1 / 3, 10.0)
"""Between these multiples of that threshold a unit is in doubt."""
UNDETERMINED_ERROR = 0.1
"""A unit is left open where a known input comes back with an error above this share of its spread."""
ACTIVE_SET_ITERATIONS = 25
"""Conjugate-gradient iterations on the active units alone."""
RELEVANT_GRADIENT = 1e-4
"""Of the largest gradient: a unit whose gradient would be smaller than this share may be misjudged."""


@dataclass(frozen=True, eq=False)
class InputBehindReLU:
    """A layer's non-negative input."""

    values: FeatureMaps
    """0 where the unit is taken to be silent."""
    uncertain: UnitMask
    """Whether that may be wrong, and matters; boolean, of the same shape."""
    iterations: int
    condition: float
    residual: float


def solve_behind_relu(equations: LayerEquations, shape: tuple[int, ...], rounds: RestartSchedule) -> InputBehindReLU:
    """Solve one convolution for its input behind a ReLU, and judge each unit."""
    point = equations.at(torch.zeros(shape, dtype=equations.known.values.dtype))
    found = nonnegative(point, rounds)
    threshold = _threshold(found.solution)
    active = (found.solution > threshold).to(found.solution.dtype)
    rest = [wanted - made for wanted, made in zip(point.residual, point.jvp(active * found.solution), strict=True)]
    polished = cgls(
        lambda x: point.jvp(active * x), lambda r: active * point.vjp(r), rest, ACTIVE_SET_ITERATIONS, tolerance=1e-3
    )
    values = active * (found.solution + polished.solution)
    near_threshold = (found.solution > UNCERTAIN_BAND[0] * threshold) & (found.solution < UNCERTAIN_BAND[1] * threshold)
    undetermined, condition = _undetermined(
        point, torch.maximum(active, found.free) if found.residual > FLOAT32_RESIDUAL else active
    )
    input_gradient = point.linearised[0].vjp(equations.known.output_gradient).abs()
    uncertain = (near_threshold | undetermined) & (input_gradient > RELEVANT_GRADIENT * input_gradient.max())
    iterations = found.iterations + polished.iterations
    return InputBehindReLU(values.clamp_min(0), uncertain, iterations, condition, equations.at(values).relative_residual)


def _threshold(values: Tensor) -> float:
    """What an active unit must exceed."""
    spread = float(values.square().mean().sqrt())
    noise = values[(values > 0) & (values < NOISE_BELOW * spread)]
    return ACTIVE_FACTOR * float(noise.quantile(0.999)) if len(noise) > MIN_NOISE_SAMPLES else DEFAULT_NOISE * spread


def _undetermined(point: Point, free: Tensor) -> tuple[Tensor, float]:
    """Where a trial input of known values is not found again; and the condition met on the way."""
    generator = torch.Generator().manual_seed(0)
    trial = free * torch.randn(free.shape, generator=generator, dtype=torch.float64).to(free)
    again = cgls(lambda x: point.jvp(free * x), lambda r: free * point.vjp(r), point.jvp(trial), 100, tolerance=3e-4)
    return (again.solution - trial).abs() > UNDETERMINED_ERROR, again.condition
