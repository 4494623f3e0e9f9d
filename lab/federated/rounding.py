"""What the client's number format leaves of a small change: weights are rounded each time they are stored."""

from __future__ import annotations

import math

from lab.lazy import Tensor, torch

from lab.federated.observation import Observation


def rounding(observation: Observation, *names: str) -> float:
    """The relative error of the update, or of these of its tensors, that rounding the weights after each step leaves.

    A stored weight is off by up to half its last place, evenly spread: ulp / sqrt(12) on average,
    sqrt(E) times that after E steps, however small the change itself. Computed on the CPU: some accelerators have no float64.
    """
    weights = dict(observation.network.named_parameters())
    asked = names or tuple(observation.update)
    error = sum(float(_last_place(weights[name].detach().cpu()).square().sum()) for name in asked) / 12
    size = sum(float(observation.update[name].cpu().double().square().sum()) for name in asked)
    return math.sqrt(observation.local_steps * error / max(size, 1e-300))


def _last_place(weights: Tensor) -> Tensor:
    """The distance to the next number that the weights' type can hold, in float64; 0 beside 0, where hardly any is left."""
    _, exponent = torch.frexp(weights)
    half = torch.finfo(weights.dtype).eps / 2
    return torch.ldexp(half * weights.ne(0).double(), exponent)
