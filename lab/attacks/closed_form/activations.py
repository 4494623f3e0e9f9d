"""From what an activation gave back to what it was given: z, act'(z), and where that is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.lazy import Float

POINTWISE = (nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.SiLU, nn.GELU, nn.ELU)

MINIMA: dict[type[nn.Module], float] = {nn.SiLU: -1.2784645, nn.GELU: -0.7517916}
"""Where the two activations that are not monotone have their lowest point."""

SATURATION = 1e3
"""z is an error of a over act'(z): where the derivative falls below this many errors, z counts less."""

FLOAT32_ERROR = 1e-7
"""Relative error of a float32 number: near saturation it is all that remains of z."""


@dataclass(frozen=True, eq=False)
class Inverse:
    """What is known of the activation's input."""

    values: Float[Tensor, "*units"]
    """z where ``weight`` > 0, anything elsewhere."""
    derivative: Float[Tensor, "*units"]
    """act'(z)."""
    weight: Float[Tensor, "*units"]
    """In [0, 1]: how far z can be trusted; 0 where the output does not tell it (a silent ReLU)."""


def invert(activation: nn.Module, output: Float[Tensor, "*units"], error: float) -> Inverse:
    """The input z and act'(z) from act(z) known to an absolute ``error``.

    SiLU and GELU give each negative output twice; z is taken to lie right of their lowest
    point, where the units of untrained networks mostly are (the residual tells).
    """
    if isinstance(activation, nn.ReLU):
        active = (output > error).to(output.dtype)
        return Inverse(output, active, active)
    if isinstance(activation, nn.LeakyReLU):
        derivative = torch.where(output > 0, 1.0, activation.negative_slope).to(output.dtype)
        return Inverse(output / derivative, derivative, derivative)
    error = max(error, FLOAT32_ERROR * float(output.abs().max()))
    values = _smooth_inverse(activation, output, error)
    derivative = activation_derivative(activation, values)
    return Inverse(values, derivative, derivative.abs() / (derivative.abs() + SATURATION * error).clamp_min(1e-30))


def _smooth_inverse(activation: nn.Module, output: Tensor, error: float) -> Tensor:
    if isinstance(activation, nn.Sigmoid):
        return torch.logit(output.clamp(error, 1 - error))
    if isinstance(activation, nn.Tanh):
        return torch.atanh(output.clamp(error - 1, 1 - error))
    if isinstance(activation, nn.ELU):
        return torch.where(output > 0, output, torch.log1p((output / activation.alpha).clamp_min(error - 1)))
    minimum = MINIMA[type(activation)]
    return _bisect(activation, output, torch.full_like(output, minimum), output.clamp_min(0) - minimum)


def _bisect(activation: Callable[[Tensor], Tensor], output: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The z between ``low`` and ``high`` with act(z) = output, act rising from ``low`` to ``high``."""
    for _ in range(60):
        middle = (low + high) / 2
        below = activation(middle) < output
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def activation_derivative(activation: nn.Module, values: Float[Tensor, "*units"]) -> Float[Tensor, "*units"]:
    """act'(z), entry by entry."""
    leaf = values.detach().requires_grad_()
    return torch.autograd.grad(activation(leaf).sum(), leaf)[0]
