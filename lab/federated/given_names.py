"""What the owner of a model calls its layers and parameters, once the model was taken apart into the lab's own parts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lab.lazy import nn

from lab.federated.typed_torch import layers_of

NAME_OF_A_PART = re.compile(r"\b(?:features|head)(?:\.\w+)+")
"""How sentences write the name of a network's layer or parameter."""


def names_of_parts(model: nn.Module) -> dict[int, str]:
    """Of each layer and parameter its name, by its identity."""
    layers = {id(layer): name for name, layer in layers_of(model, nn.Module).items() if name}
    return layers | {id(weight): name for name, weight in model.named_parameters()}


def given_names(network: nn.Module, known: Mapping[int, str]) -> dict[str, str]:
    """What was called so in the model that the network was made of, by what it is called in the network.

    A layer that is a copy is called as its parameters are, and one that was a function in the model after what it does.
    """
    parameters = {name: known[id(weight)] for name, weight in network.named_parameters() if id(weight) in known}
    layers = {
        name: known.get(id(layer)) or _by_parameters(name, parameters) or type(layer).__name__
        for name, layer in layers_of(network, nn.Module).items()
    }
    return parameters | layers


def _by_parameters(layer: str, parameters: Mapping[str, str]) -> str:
    """A layer's name, cut from that of a parameter of its own; empty where it has none."""
    for name, given in parameters.items():
        own, _, part = name.rpartition(".")
        if own == layer and given.endswith(f".{part}"):
            return given.removesuffix(f".{part}")
    return ""


def as_given(sentence: str, names: Mapping[str, str]) -> str:
    """The sentence with layers and parameters called what their owner calls them; a number alone is told to be a layer."""

    def given(found: re.Match[str]) -> str:
        name = names.get(found[0], found[0])
        return f"layer {name}" if name.isdigit() else name

    return NAME_OF_A_PART.sub(given, sentence)
