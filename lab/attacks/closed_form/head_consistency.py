"""Whether an input read off the head explains all that the head shared, and not its own layer alone.

A layer's gradient that is a column times a row fits one input, whatever was done to it: the signs of dL/dz x^T are such a
matrix, too. What layers above it shared, and dL/dz itself, agree only where the input is the one that the client had.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from lab.lazy import Float, Tensor, torch

from lab.federated.observation import Observation
from lab.federated.tensors import Gradients, Targets
from lab.federated.updates import flat, nearest_multiple

SCALES = (-2, 2, 25)
"""Powers of ten from and to, and how many between: first guesses at the length of an input known up to its scale.

That is its root mean square; normalised pixels have about 1."""
SCALE_OFFSET, RESIDUAL_RATIO, FLOAT32_ERROR = 1.02, 20.0, 1e-7
"""A scale so little off must leave so many times as much unexplained, and as rounding does, for the scale to be told."""
REFINEMENTS = 5
"""So often the best guess's neighbourhood is looked at closer, four times each."""


def head_residual(observation: Observation, inputs: Float[Tensor, "pictures inputs"], labels: Targets) -> float:
    """||s g(x) - g*|| / ||g*|| of the head at the factor s >= 0 where it is least; x: shape (pictures, inputs)."""
    head, update = observation.network.head, observation.update
    weights = dict(head.named_parameters())
    sent = [name for name in weights if f"head.{name}" in update]
    gradient = observation.mean_gradient(*(f"head.{name}" for name in sent))
    shared = {name: gradient[f"head.{name}"] for name in sent}
    value = observation.loss.value(head(inputs.to(next(iter(weights.values())))), labels)
    gradients = torch.autograd.grad(value, [weights[name] for name in shared])
    return _residual(dict(zip(shared, gradients, strict=True)), shared)


def at_best_scale(
    find: Callable[[Float[Tensor, "1 inputs"]], float], inputs: Float[Tensor, "1 inputs"], refinements: int = REFINEMENTS
) -> tuple[Float[Tensor, "1 inputs"], float]:
    """An input known up to its scale at the scale where ``find`` leaves least unexplained, and what it leaves there."""
    inputs = inputs / inputs.square().mean().sqrt().clamp_min(1e-30)
    scales, best = torch.logspace(*SCALES, dtype=torch.float64), (math.inf, 1.0)
    for _ in range(refinements):
        residuals = [find(float(scale) * inputs) for scale in scales]
        place = int(torch.tensor(residuals, dtype=torch.float64).argmin())
        best = min(best, (residuals[place], float(scales[place])))
        low, high = scales[max(place - 1, 0)], scales[min(place + 1, len(scales) - 1)]
        scales = torch.linspace(float(low), float(high), 9, dtype=torch.float64)
    return best[1] * inputs, best[0]


def determines_scale(
    find: Callable[[Float[Tensor, "1 inputs"]], float], inputs: Float[Tensor, "1 inputs"], least: float
) -> bool:
    """Whether what these inputs leave unexplained, the ``least`` of all scales, is far less than a little off it."""
    return min(find(inputs * SCALE_OFFSET), find(inputs / SCALE_OFFSET)) > RESIDUAL_RATIO * max(least, FLOAT32_ERROR)


def _residual(made: Gradients, shared: Gradients) -> float:
    factor, residual = nearest_multiple(flat(made).detach().double(), flat(shared).double())
    return residual if factor > 0 else 1.0
