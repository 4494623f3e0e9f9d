"""Dropout at the client read off one picture's update: which features were off, and by how much the others were raised.

A feature that was off enters no product, so its column of the layer's gradient is zero to the last bit. That others stood
s = 1 / (1 - p) times as high is told by the biases of the layer below. With f = act(.) the features, x = s f what entered, and
no pooling between but max-pooling, dL/db of a channel is

    s sum_j act'(f_j) (W^T dL/dz)_j   over the features j of the channel that were not off,

which holds for every channel at one s alone; at s = 1 nothing was dropped, and zeros are silent units. Where no such layer
stands below, and noise leaves no unit silent, the share of zeros is p. Pruning and rounding to a grid make zeros of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from lab.lazy import Bool, Float

from lab.attacks.closed_form.linear_layers import CONSISTENT_RESIDUAL, derivative_from_output, single_input
from lab.attacks.matching.deduced_observation import DeducedObservation
from lab.attacks.matching.defence_detection import DetectedDefence, detect_defence
from lab.federated.inputs import moved_to, tree_map, uniform
from lab.federated.observation import Observation
from lab.federated.sharing import sharing_copy
from lab.federated.tensors import Gradients
from lab.options.words import percent as spoken
from lab.randomness import stream

UNIT_SCALE_TOLERANCE = 1e-3
"""So near to 1 the scale is 1, but for rounding."""
MIN_ZERO_SHARE = 0.08
"""Where no bias tells: the least share of zeros that is no dead unit's ..."""
RARE_ZERO_SHARE = 0.05
"""... of a layer whose inputs are zero no more often than this for noise."""
COMMON_RATES = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
"""Rates that people choose; a share of few features is only about one of them."""
RATES = tuple(percent / 100 for percent in range(96))
"""Rates that are tried where the scale bends the features' derivative."""
TRANSPARENT_LAYERS = (nn.MaxPool2d, nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout2d)
"""What the gradient of a feature passes as it is, or to one place alone."""
RANDOM_INPUTS = 4
OWN_ZEROS = (DetectedDefence.SIGNS, DetectedDefence.SPARSE, DetectedDefence.GRID)
"""What is told of an update whose zeros need no feature that was off."""


@dataclass(frozen=True, eq=False)
class DroppedFeatures(DeducedObservation):
    """The client as one whose network has those features off that it had off."""

    def mask(self, layer: str) -> Float[Tensor, " features"] | None:
        """What that layer's inputs were multiplied by; None where by nothing."""
        masked = self.observation.network.get_submodule(layer)
        return masked.mask if isinstance(masked, MaskedLinear) else None


class MaskedLinear(nn.Linear):
    """A linear layer some of whose inputs are off, and the others raised."""

    mask: Tensor

    def forward(self, input: Tensor) -> Tensor:
        """W (m x) + b."""
        return functional.linear(input * self.mask, self.weight, self.bias)


def detect_dropped(observation: Observation) -> DroppedFeatures | None:
    """The features that were off before each layer of the head; None where none were, or it cannot be told.

    Of several pictures, and after several steps, each had others off, and a column is zero where all of them were.
    """
    if observation.batch_size > 1 or observation.local_steps > 1 or not observation.protocol.is_linear:
        return None
    gradient = observation.mean_gradient()
    masks: dict[str, Tensor] = {}
    for name, layer in reversed(observation.network.linear_layers.items()):
        mask = None if isinstance(layer, MaskedLinear) else _mask(observation, gradient, name, layer)
        if mask is not None:
            masks[name] = mask
    if not masks or detect_defence(observation).trace in OWN_ZEROS:
        return None
    shares = " and ".join(f"{spoken(float((mask == 0).double().mean()))} of what enters {name}" for name, mask in masks.items())
    sentence = (
        f"Dropout was on at the client, and the update tells which units were off ({shares}); so they are for each guess."
    )
    return DroppedFeatures(replace(observation, network=_masked(observation.network, masks)), sentence)


def _mask(observation: Observation, gradient: Gradients, name: str, layer: nn.Linear) -> Float[Tensor, " features"] | None:
    """What the layer's inputs were multiplied by; None where by nothing."""
    weight = gradient.get(f"{name}.weight")
    if weight is None or not (off := (weight == 0).all(0)).any():
        return None
    inputs = single_input(gradient, name)
    if inputs is None:
        return None
    feature_gradient = layer.weight.detach().T @ gradient[f"{name}.bias"] * ~off
    scale = _scale_by_biases(observation, gradient, name, inputs, feature_gradient)
    if scale is None:
        scale = _scale_by_share(observation, layer, off)
    return None if scale < 1 + UNIT_SCALE_TOLERANCE else scale * (~off).to(weight)


def _scale_by_biases(
    observation: Observation,
    gradient: Gradients,
    name: str,
    inputs: Float[Tensor, " features"],
    feature_gradient: Float[Tensor, " features"],
) -> float | None:
    """By the layer below; None where its activation does not tell, or its biases were not sent."""
    before = list(gradient)[: list(gradient).index(f"{name}.weight")]
    biases = [gradient[other] for other in before if other.endswith(".bias")]
    activation = _activation_below(observation.network, name)
    if not biases or len(inputs) % len(biases[-1]):
        return None
    fits: list[tuple[float, float]] = []
    for rate in RATES:
        derivative = derivative_from_output(activation, inputs * (1 - rate))
        if derivative is None:
            return None
        sums = (feature_gradient * derivative).view(len(biases[-1]), -1).sum(1)
        scale = 1 / (1 - rate)
        if isinstance(activation, nn.ReLU | nn.LeakyReLU):  # whose derivative is the same at every scale
            scale = float(biases[-1] @ sums / sums.square().sum().clamp_min(1e-300))
        fits.append((float((biases[-1] - scale * sums).norm()), scale))
        if isinstance(activation, nn.ReLU | nn.LeakyReLU):
            break
    left, scale = min(fits)
    return scale if left <= CONSISTENT_RESIDUAL * float(biases[-1].norm()) else None


def _activation_below(network: nn.Module, name: str) -> nn.Module | None:
    """What made a layer's features: the last module before it, in the body or the head, that is more than passed."""
    parts = [(own, module) for own, module in network.named_modules() if next(module.children(), None) is None]
    place = [own for own, _ in parts].index(name)
    return next((module for _, module in reversed(parts[:place]) if not isinstance(module, TRANSPARENT_LAYERS)), None)


def _scale_by_share(observation: Observation, layer: nn.Linear, off: Bool[Tensor, " features"]) -> float:
    """By how many features were off, of a layer that pictures leave hardly ever silent; 1 of any other."""
    count, silent = len(off), _silent_share(observation, layer)
    share = (float(off.double().mean()) - silent) / (1 - silent) if silent < 1 else 0.0
    if share < MIN_ZERO_SHARE or silent > RARE_ZERO_SHARE:
        return 1.0
    usual = min(COMMON_RATES, key=lambda rate: abs(share - rate))
    rate = usual if abs(share - usual) < 3 * (share * (1 - share) / count) ** 0.5 else share
    return 1 / (1 - rate) if rate < 1 else 1.0


def _silent_share(observation: Observation, layer: nn.Linear) -> float:
    """Of what enters a layer the share that is zero without dropout: for noise, or for what may fill part of an input.

    A black or white background, or a one-hot row, can enter a layer as zeros, and nothing then tells them from features off.
    """
    entered: list[Tensor] = []
    noise = uniform(observation.input_shape, RANDOM_INPUTS, stream(0, "pictures that leave units silent"), torch.float32)
    hook = layer.register_forward_hook(lambda _, inputs, __: entered.append(inputs[0]))
    try:
        with torch.no_grad():
            for witness in (noise, tree_map(torch.zeros_like, noise), tree_map(torch.ones_like, noise)):
                observation.network(moved_to(witness, next(observation.network.parameters())))
    finally:
        hook.remove()
    return max(float((inputs == 0).double().mean()) for inputs in entered)


def _masked(network: nn.Module, masks: Mapping[str, Tensor]) -> nn.Module:
    """The network with the same weights, whose layers of these names have inputs off; its parameters are called as before."""
    copy = sharing_copy(network)
    for name, mask in masks.items():
        layer = copy.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        own = torch.nn.utils.skip_init(MaskedLinear, layer.in_features, layer.out_features, bias=layer.bias is not None)
        own.weight, own.bias = layer.weight, layer.bias
        own.register_buffer("mask", mask, persistent=False)
        copy.set_submodule(name, own.eval())
    return copy
