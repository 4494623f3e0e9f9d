"""A chain of fully connected layers: the network that Proposition 3.1 reads like a book."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Annotated

from lab.lazy import nn

from lab.federated.networks.base import Activation, Network
from lab.options.fields import Bounds, Help


@dataclass(frozen=True)
class MLP(Network):
    """Fully connected layers only; the algebra recovers the picture exactly."""

    depth: Annotated[int, Bounds(1, 8), Help("fully connected layers, the last one included")] = 3
    width: Annotated[int, Bounds(1, 4096), Help("units in each hidden layer")] = 256
    bias: Annotated[bool, Help("whether the layers have a bias, which the division needs")] = True
    activation: Annotated[Activation, Help("nonlinearity between the layers")] = Activation.RELU

    def modules(self, image_shape: tuple[int, int, int], classes: int) -> tuple[nn.Module, nn.Sequential]:
        """No body; ``depth`` linear layers with activations between them."""
        sizes = [prod(image_shape), *[self.width] * (self.depth - 1), classes]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs, bias=self.bias), self.activation.layer()]
        return nn.Identity(), nn.Sequential(*layers[:-1])
