"""Fully connected layers read from their gradients: the input of each is a ratio of two shared numbers (Proposition 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.lazy import Float, Tensor, functional, nn, torch

from lab.errors import LabError
from lab.federated.losses.base import Loss
from lab.federated.observation import Observation
from lab.federated.tensors import Gradients

if TYPE_CHECKING:
    from lab.federated.low_rank import LowRankLinear

CONSISTENT_RESIDUAL = 1e-3
"""Largest relative residual ||dW - dz x^T|| / ||dW|| at which the shared numbers still fit one input."""


@dataclass(frozen=True, eq=False)
class RecoveredInput:
    """What the algebra reads off one linear layer: x from dL/dW = (dL/dz) x^T."""

    name: str
    row: int
    """The unit i whose gradients are divided."""
    recovered_input: Float[Tensor, " inputs"]
    """x, shape (inputs,)."""
    output_gradient: Float[Tensor, " outputs"]
    """dL/dz, shape (outputs,)."""
    residual: float
    """||dW - dz x^T|| / ||dW||: zero where one input explains all shared numbers."""
    up_to_scale: bool
    has_bias: bool
    is_pair: bool = False
    """Whether a low-rank pair tells it."""


def recover_layer_inputs(observation: Observation, row: int | None = None) -> list[RecoveredInput]:
    """The readings of the head's linear layers, top to bottom; empty where one of them is silent, or no gradient can be told.

    A layer with a bias is read by division. One without follows from the layer above:
    dL/dz = act'(z) W_above^T dL/dz_above. Where that cannot be told, the layer's gradient is a
    rank-one matrix dL/dz x^T, known up to its scale. ``row`` applies to the lowest layer.
    """
    from lab.federated.low_rank import LowRankLinear  # imported here: it needs torch

    if not observation.protocol.is_linear:
        return []
    gradient = observation.mean_gradient()
    readings: list[RecoveredInput] = []
    above = _at_the_top(observation)
    layers = list(reversed(observation.network.linear_layers.items()))
    for position, (name, layer) in enumerate(layers):
        chosen = row if position == len(layers) - 1 else None
        if isinstance(layer, LowRankLinear):
            reading = _read_pair(name, layer, gradient, above, observation.loss)
        else:
            reading = _read_layer(name, gradient, above, chosen, observation.loss)
        if reading is None:
            return []
        readings.append(reading)
        above = _pass_down(layer, reading, _activation_below(observation, name))
    return readings


@dataclass(frozen=True, eq=False)
class _Above:
    """What the layer above tells about dL/dz of this one, shape (outputs,)."""

    output_gradient: Tensor
    exact: bool
    """False where only the sign of the whole can be trusted: a lost scale, an activation that hides its derivative."""


def _at_the_top(observation: Observation) -> _Above | None:
    """dL/dz at the logits is negative at the label, where that is known (p - y of a cross entropy: there alone).

    Of one logit alone it is negative for a yes, and for a no positive; so it is of each where labels are rows.
    """
    if observation.labels is None:
        return None
    if observation.labels.is_floating_point():
        return _Above(1 - 2 * observation.labels[0], exact=False)
    if observation.classes == 1:
        return _Above(1 - 2 * observation.labels[:1], exact=False)
    return _Above(-functional.one_hot(observation.labels[0], observation.classes), exact=False)


def _read_layer(name: str, gradient: Gradients, above: _Above | None, row: int | None, loss: Loss) -> RecoveredInput | None:
    """Read one layer from its gradients and what is known from above; None where its gradients are zero, or were not sent."""
    weight, bias = gradient.get(f"{name}.weight"), gradient.get(f"{name}.bias")
    if weight is None or not weight.any():
        return None
    if bias is not None and bias.any():
        unit = largest(bias) if row is None else _checked_row(row, bias)
        return _reading(name, unit, divide(weight, bias, unit), bias, weight, up_to_scale=False, has_bias=True)
    if above is not None and above.exact and above.output_gradient.any():
        recovered = weight.T @ above.output_gradient / above.output_gradient.square().sum()
        return _reading(
            name, largest(above.output_gradient), recovered, above.output_gradient, weight, up_to_scale=False, has_bias=False
        )
    output, recovered = _rank_one(weight, None if above is None else above.output_gradient, loss)
    return _reading(name, largest(output), recovered, output, weight, up_to_scale=True, has_bias=False)


def _read_pair(name: str, layer: LowRankLinear, gradient: Gradients, above: _Above | None, loss: Loss) -> RecoveredInput | None:
    """Read a layer of which a pair trains: dL/dB = s d (A x)^T gives d = dL/dz, and dL/dA = s B^T d x^T then x.

    None where B is zero, which leaves dL/dA zero: A x alone is told then.
    """
    down, up, bias = (gradient.get(f"{name}.{part}") for part in ("down", "up", "bias"))
    if down is None or not down.any():
        return None
    exact = bias if bias is not None and bias.any() else above.output_gradient if above is not None and above.exact else None
    output = exact
    if output is None:
        if up is None or not up.any():
            return None
        output, _ = _rank_one(up, None if above is None else above.output_gradient, loss)
    passed = layer.scale * layer.up.detach().T @ output
    recovered = down.T @ passed / passed.square().sum().clamp_min(1e-300)
    residual = float((down - torch.outer(passed, recovered)).norm() / down.norm())
    scaled = exact is None
    return RecoveredInput(
        name, largest(output), recovered, output, residual, up_to_scale=scaled, has_bias=bias is not None, is_pair=True
    )


def _checked_row(row: int, bias_gradient: Tensor) -> int:
    if row >= len(bias_gradient):
        raise LabError(f"analytic: row = {row} is out of range; this layer has the units 0 to {len(bias_gradient) - 1}.")
    if bias_gradient[row] == 0:
        hint = largest(bias_gradient)
        raise LabError(f"analytic: unit {row} is silent (dL/db = 0), so nothing can be divided by it; try {hint}.")
    return row


def single_input(gradient: Gradients, name: str) -> Float[Tensor, " inputs"] | None:
    """What entered a linear layer; None where its gradients do not fit one input, or were not sent."""
    weight, bias = gradient.get(f"{name}.weight"), gradient.get(f"{name}.bias")
    if weight is None or bias is None or not bias.any():
        return None
    entered = divide(weight, bias, largest(bias))
    off = float((weight - torch.outer(bias, entered)).norm())
    return entered if off <= CONSISTENT_RESIDUAL * float(weight.norm()) else None


def divide(
    weight_gradient: Float[Tensor, "outputs inputs"], bias_gradient: Float[Tensor, " outputs"], row: int
) -> Float[Tensor, " inputs"]:
    """X = (dL/dW_i) / (dL/db_i), Proposition 3.1 itself; shape (inputs,)."""
    return weight_gradient[row] / bias_gradient[row]


def largest(gradient: Float[Tensor, " outputs"]) -> int:
    """The unit with the largest |dL/dz_i|: the ratio that noise hurts least."""
    return int(gradient.abs().argmax())


def _reading(
    name: str, row: int, recovered: Tensor, output_gradient: Tensor, weight: Tensor, *, up_to_scale: bool, has_bias: bool
) -> RecoveredInput:
    residual = float((weight - torch.outer(output_gradient, recovered)).norm() / weight.norm())
    return RecoveredInput(name, row, recovered, output_gradient, residual, up_to_scale, has_bias)


def _rank_one(weight: Tensor, output_gradient: Tensor | None, loss: Loss) -> tuple[Tensor, Tensor]:
    """dL/dz (of length one) and the input, from the leading singular triple of dW = dL/dz x^T.

    The common sign follows the dL/dz known from above; at the logits of an unknown label it is the loss that tells:
    the largest entry of dL/dz = p - y is the negative one (of two classes either may be).
    """
    left, sizes, right = torch.linalg.svd(weight, full_matrices=False)
    output, recovered = left[:, 0], sizes[0] * right[0]
    likely = loss.has_plausible_sign(output) if output_gradient is None else output @ output_gradient.to(output) >= 0
    return (output, recovered) if likely else (-output, -recovered)


def _activation_below(observation: Observation, name: str) -> nn.Module | None:
    """The activation that made this layer's input, if it stands in the head."""
    layers = list(observation.network.head.named_children())
    index = [f"head.{own}" for own, _ in layers].index(name)
    return layers[index - 1][1] if index > 0 else None


def _pass_down(layer: nn.Linear, reading: RecoveredInput, activation: nn.Module | None) -> _Above:
    """dL/dz of the layer below: act'(z) W^T dL/dz, with act'(z) told from the recovered act(z)."""
    input_gradient = layer.weight.detach().T @ reading.output_gradient
    derivative = derivative_from_output(activation, reading.recovered_input)
    scale_free = isinstance(activation, nn.ReLU | nn.LeakyReLU)
    if derivative is None or (reading.up_to_scale and not scale_free):
        return _Above(input_gradient, exact=False)
    return _Above(derivative * input_gradient, exact=not reading.up_to_scale)


def derivative_from_output(activation: nn.Module | None, output: Float[Tensor, "*units"]) -> Float[Tensor, "*units"] | None:
    """act'(z) given act(z); None where the output does not tell it (SiLU and GELU are not monotone)."""
    if isinstance(activation, nn.ReLU):
        return (output.abs() > 1e-6 * output.abs().max()).to(output.dtype)
    if isinstance(activation, nn.LeakyReLU):
        return torch.where(output > 0, 1.0, activation.negative_slope).to(output.dtype)
    if isinstance(activation, nn.ELU):
        return torch.where(output > 0, 1.0, output + activation.alpha).to(output.dtype)
    if isinstance(activation, nn.Sigmoid):
        return output * (1 - output)
    return 1 - output.square() if isinstance(activation, nn.Tanh) else None
