"""Proposition 3.1: a fully connected layer gives its input away as a ratio of two shared numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor, nn

from lab.attacks.base import Attack
from lab.options import Bounds, Help
from lab.types import AttackState, Gradients, Images, Observation, Outcome

CONSISTENT = 1e-3
"""Largest relative residual ||dW - dz x^T|| / ||dW|| at which the shared numbers still fit one input."""


@dataclass(frozen=True, eq=False)
class LayerReading:
    """What the algebra reads off one linear layer: x from dL/dW = (dL/dz) x^T."""

    name: str
    row: int
    """The unit i whose gradients are divided."""
    recovered_input: Tensor
    """x, shape (inputs,)."""
    output_gradient: Tensor
    """dL/dz, shape (outputs,)."""
    residual: float
    """||dW - dz x^T|| / ||dW||: zero where one input explains all shared numbers."""
    up_to_scale: bool
    has_bias: bool


@dataclass(frozen=True)
class Analytic(Attack):
    """x = (dL/dW_i) / (dL/db_i) for any unit i with dL/db_i != 0 (Geiping et al. 2020, Proposition 3.1)."""

    row: Annotated[int | None, Bounds(0, 100_000), Help("which unit to divide by; empty takes the largest |dL/db_i|")] = None

    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """One state: the picture where the network is fully connected, else the features entering the head."""
        readings = read_layers(observation, self.row)
        state = _grey_state(observation)
        if not readings:
            reason = Outcome.DEAD_UNITS if _linear_layers(observation) else Outcome.NO_LINEAR_LAYER
            yield replace(state, outcome=reason)
            return
        first = readings[-1]
        is_picture = isinstance(observation.network.features, nn.Identity)
        candidate = _as_picture(first, observation) if is_picture else state.candidate
        outcome = diagnose(first, observation, is_picture=is_picture)
        terms = {"residual": first.residual}
        features = first.recovered_input.unsqueeze(0)
        yield replace(state, candidate=candidate, objective=first.residual, terms=terms, features=features, outcome=outcome)


def read_layers(observation: Observation, row: int | None = None) -> list[LayerReading]:
    """The readings of the head's linear layers, top to bottom; ends where nothing can be read.

    A layer with a bias is read by division. One without follows from the layer above:
    dL/dz = act'(z) W_above^T dL/dz_above. The top one without a bias is a rank-one matrix
    dL/dz x^T, known up to its scale. ``row`` applies to the lowest layer with a bias.
    """
    gradient = observation.protocol.mean_gradient(observation.update)
    readings: list[LayerReading] = []
    slope: Tensor | None = None
    layers = _linear_layers(observation)
    for position, (name, layer) in enumerate(layers):
        chosen = row if position == len(layers) - 1 else None
        scale_lost = bool(readings) and readings[-1].up_to_scale
        reading = read_layer(name, gradient, slope, chosen, scale_lost=scale_lost)
        if reading is None:
            return []
        readings.append(reading)
        below = _activation_below(observation, name)
        slope = _pass_down(layer, reading, below)
    return readings


def read_layer(
    name: str, gradient: Gradients, slope: Tensor | None, row: int | None = None, *, scale_lost: bool = False
) -> LayerReading | None:
    """Read one layer from its gradients, or from ``slope`` = dL/dz known from above; None where all are zero."""
    weight, bias = gradient[f"{name}.weight"], gradient.get(f"{name}.bias")
    if not weight.any():
        return None
    if bias is not None and bias.any():
        unit = largest(bias) if row is None else min(row, len(bias) - 1)
        return _reading(name, unit, divide(weight, bias, unit), bias, weight, up_to_scale=False, has_bias=True)
    if slope is not None and slope.any():
        recovered = weight.T @ slope / slope.square().sum()
        return _reading(name, largest(slope), recovered, slope, weight, up_to_scale=scale_lost, has_bias=False)
    output, size, recovered = _rank_one(weight)
    return _reading(name, largest(output), recovered * size, output, weight, up_to_scale=True, has_bias=False)


def divide(weight_gradient: Tensor, bias_gradient: Tensor, row: int) -> Tensor:
    """X = (dL/dW_i) / (dL/db_i), Proposition 3.1 itself; shape (inputs,)."""
    return weight_gradient[row] / bias_gradient[row]


def largest(slopes: Tensor) -> int:
    """The unit with the largest |dL/dz_i|: the ratio that noise hurts least."""
    return int(slopes.abs().argmax())


def _reading(
    name: str, row: int, recovered: Tensor, slope: Tensor, weight: Tensor, *, up_to_scale: bool, has_bias: bool
) -> LayerReading:
    residual = float((weight - torch.outer(slope, recovered)).norm() / weight.norm())
    return LayerReading(name, row, recovered, slope, residual, up_to_scale, has_bias)


def _rank_one(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The leading singular triple, its sign such that dL/dz = p - y has a single negative entry."""
    left, sizes, right = torch.linalg.svd(weight, full_matrices=False)
    sign = -1.0 if (left[:, 0] < 0).sum() > (left[:, 0] > 0).sum() else 1.0
    return sign * left[:, 0], sizes[0], sign * right[0]


def _linear_layers(observation: Observation) -> list[tuple[str, nn.Linear]]:
    """The head's linear layers by name, top to bottom."""
    layers = [(f"head.{name}", m) for name, m in observation.network.head.named_children() if isinstance(m, nn.Linear)]
    return layers[::-1]


def _activation_below(observation: Observation, name: str) -> nn.Module | None:
    """The activation that made this layer's input, if it stands in the head."""
    index = int(name.rpartition(".")[2])
    return observation.network.head[index - 1] if index > 0 else None


def _pass_down(layer: nn.Linear, reading: LayerReading, activation: nn.Module | None) -> Tensor | None:
    """dL/dz of the layer below: act'(z) W^T dL/dz, with act' told from the recovered act(z)."""
    slope = slope_from_output(activation, reading.recovered_input)
    return None if slope is None else slope * (layer.weight.detach().T @ reading.output_gradient)


def slope_from_output(activation: nn.Module | None, output: Tensor) -> Tensor | None:
    """act'(z) given act(z); None where the output does not tell it (SiLU and GELU are not monotone)."""
    if isinstance(activation, nn.ReLU):
        return (output.abs() > 1e-6 * output.abs().max()).to(output.dtype)
    if isinstance(activation, nn.LeakyReLU):
        return torch.where(output > 0, 1.0, activation.negative_slope).to(output.dtype)
    if isinstance(activation, nn.Sigmoid):
        return output * (1 - output)
    return 1 - output.square() if isinstance(activation, nn.Tanh) else None


def _as_picture(reading: LayerReading, observation: Observation) -> Images:
    values = reading.recovered_input.reshape(1, *observation.image_shape)
    pixels = observation.network.normalise.inverse(values)
    if reading.up_to_scale:
        pixels = (values - values.min()) / (values.max() - values.min()).clamp_min(1e-30)
    return pixels.detach().expand(observation.batch_size, -1, -1, -1).clone()


def diagnose(reading: LayerReading, observation: Observation, *, is_picture: bool) -> Outcome:
    """What the reading is worth, and the first reason why it is not exact."""
    if observation.batch_size > 1:
        return Outcome.MIXTURE
    if reading.up_to_scale:
        return Outcome.UP_TO_SCALE
    if getattr(observation.protocol, "local_steps", 1) > 1:
        return Outcome.AFTER_LOCAL_STEPS
    if reading.residual > CONSISTENT:
        return Outcome.INCONSISTENT
    return Outcome.EXACT if is_picture else Outcome.FEATURES_ONLY


def _grey_state(observation: Observation) -> AttackState:
    shape = (observation.batch_size, *observation.image_shape)
    grey = torch.full(shape, 0.5, device=observation.device)
    return AttackState(1, 1, grey, float("nan"), {}, labels=observation.labels)
