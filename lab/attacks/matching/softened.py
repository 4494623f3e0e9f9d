"""A chain of layers whose sharp choices are soft at first: max-poolings and ReLUs at a temperature.

A max-pooling passes its gradient to the one unit that won, so the update's dependence on a picture is cut into pieces, and
from within a wrong piece nothing points to the right one. Where every unit of a window has its share, softmax(z / T), the
pieces flow together, and as T falls the chain becomes the client's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from lab.lazy import Float

RELU_SHARPNESS = 2.0
"""A soft ReLU at temperature T is softplus(MEETING z / T) T / MEETING."""


@dataclass
class Temperature:
    """What all soft layers of a chain are set by, in standard deviations of what enters each; 0 is the client's own chain."""

    value: float

    def of(self, values: Tensor) -> float:
        """In the units of what enters a layer."""
        return self.value * float(values.detach().std())


class SoftReLU(nn.Module):
    """A ReLU rounded off."""

    def __init__(self, temperature: Temperature) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, values: Tensor) -> Tensor:
        """Of any shape."""
        width = self.temperature.of(values) / RELU_SHARPNESS
        return functional.softplus(values / width) * width if width > 0 else values.relu()


class SoftMaxPool(nn.Module):
    """A max-pooling in which each unit of a window has its share."""

    def __init__(self, pooling: nn.MaxPool2d, temperature: Temperature) -> None:
        super().__init__()
        self.pooling, self.temperature = pooling, temperature

    def forward(self, values: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "batch channels fewer narrower"]:
        """The mean of each window's units, weighted by softmax(z / T)."""
        width = self.temperature.of(values)
        if not width > 0:
            return self.pooling(values)
        size, stride, border = (
            _pair(number) for number in (self.pooling.kernel_size, self.pooling.stride, self.pooling.padding)
        )
        sides = (border[1], border[1], border[0], border[0])
        padded = functional.pad(values, sides, value=float(values.detach().min())) if any(sides) else values
        windows = padded.unfold(2, size[0], stride[0]).unfold(3, size[1], stride[1]).flatten(4)
        return ((windows / width).softmax(-1) * windows).sum(-1)


def softened(body: nn.Sequential, temperature: Temperature) -> list[nn.Module]:
    """The layers of a body, its own weights in them, with soft poolings in front of soft ReLUs.

    A max-pooling and a ReLU may change places; behind a ReLU that is off in a whole window all of its units would be alike.
    """
    layers: list[nn.Module] = []
    for layer in body:
        if isinstance(layer, nn.ReLU):
            layers.append(SoftReLU(temperature))
        elif isinstance(layer, nn.MaxPool2d):
            place = len(layers) - bool(layers and isinstance(layers[-1], SoftReLU))
            layers.insert(place, SoftMaxPool(layer, temperature))
        else:
            layers.append(layer)
    return layers


def is_softened(body: nn.Module) -> bool:
    """Whether a body is a chain with ReLUs and max-poolings that can be made soft."""
    poolings = [layer for layer in body.modules() if isinstance(layer, nn.MaxPool2d)]
    if not isinstance(body, nn.Sequential) or not poolings or not any(isinstance(layer, nn.ReLU) for layer in body):
        return False
    chained = all(any(pooling is layer for layer in body) for pooling in poolings)
    return chained and all(pooling.dilation in (1, (1, 1)) and not pooling.ceil_mode for pooling in poolings)


def _pair(number: int | tuple[int, ...]) -> tuple[int, int]:
    return (number, number) if isinstance(number, int) else (number[0], number[1])
