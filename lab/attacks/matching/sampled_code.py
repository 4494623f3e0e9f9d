"""PRECODE's code read off one picture's update: what the client drew by chance is divided out of its gradients.

The decoder is a linear layer whose input is the code, z, and the encoder one whose input are the features: both are ratios of
two shared numbers (Proposition 3.1). The features tell the code's mean m and log variance l, by weights that the server knows,
and n = (z - m) exp(-l / 2) is what was drawn. With that put into the network nothing in it is random any more.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from lab.lazy import Float

from lab.attacks.closed_form.linear_layers import single_input
from lab.attacks.matching.deduced_observation import DeducedObservation
from lab.federated.bottleneck import Bottleneck, Sample, bottlenecks
from lab.federated.observation import Observation
from lab.federated.sharing import sharing_copy
from lab.federated.tensors import Gradients

CODE_RECOVERED = "A bottleneck draws a code by chance, and the update tells which it was; so it is for each guess."


def recover_code(observation: Observation) -> DeducedObservation | None:
    """The client as one whose network always draws the code that it drew; None where it draws none, or it cannot be told.

    Of several pictures, and after several steps, each drew its own.
    """
    places = bottlenecks(observation.network.head)
    if not places or observation.batch_size > 1 or observation.local_steps > 1 or not observation.protocol.is_linear:
        return None
    if any(sample.draw is not None for sample in observation.network.head.children() if isinstance(sample, Sample)):
        return None
    gradient = observation.mean_gradient()
    drawn = {place.sample: _drawn(observation, gradient, place) for place in places}
    told = {name: noise for name, noise in drawn.items() if noise is not None}
    if len(told) < len(drawn):
        return None
    network = _with_codes(observation.network, told)
    return DeducedObservation(replace(observation, network=network, withheld=_others(observation, places)), CODE_RECOVERED)


def _drawn(observation: Observation, gradient: Gradients, place: Bottleneck) -> Float[Tensor, " numbers"] | None:
    """Of n = (z - m) exp(-l / 2)."""
    features, code = (single_input(gradient, f"head.{name}") for name in (place.encoder, place.decoder))
    if features is None or code is None:
        return None
    encoder = observation.network.head.get_submodule(place.encoder)
    with torch.no_grad():
        mean, spread = encoder(features).chunk(2)
        return (code - mean) * (-spread / 2).exp()


def _with_codes(network: nn.Module, codes: dict[str, Tensor]) -> nn.Module:
    """The network with the same weights that draws these."""
    copy = sharing_copy(network)
    for name, noise in codes.items():
        sample = copy.get_submodule(f"head.{name}")
        assert isinstance(sample, Sample)
        sample.draw = noise.expand_as
    return copy


def _others(observation: Observation, places: list[Bottleneck]) -> tuple[str, ...]:
    """What is left out for another reason than the bottlenecks."""
    layers = {name for place in places for name in (place.encoder, place.decoder, *place.above)}
    return tuple(name for name in observation.withheld if name.rpartition(".")[0].removeprefix("head.") not in layers)
