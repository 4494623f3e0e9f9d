"""The topmost convolution of a body whose places are hidden above it, and what the layers in between say about its slope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from lab.attacks.closed_form.chain import LINEAR, Link
from lab.attacks.closed_form.spatial.conv_bn import Unit, block_units, last_unit
from lab.attacks.closed_form.spatial.position_factorisation import places_told, tell_apart
from lab.attacks.closed_form.spatial.robust_least_squares import HALFWAY


@dataclass(frozen=True, eq=False)
class Top:
    """The topmost ReLU, and the convolution whose gradient tells where it was active."""

    index: int
    """Number of links up to and including the ReLU, or the block that ends in it."""
    unit: Unit
    slope: Tensor
    """dL/d(output of the ReLU) at each place as if the pooling had kept that one, shape (1, outputs, height, width)."""
    gradient: Tensor
    """dL/dW of the convolution."""
    summed_slope: Tensor
    """The sum over the places of dL/d(output of the convolution), shape (outputs)."""

    @cached_property
    def reached(self) -> Tensor:
        """The places that a slope can reach, shape (height, width)."""
        return (self.slope[0] != 0).any(dim=0)

    @cached_property
    def shortcoming(self) -> str:
        """Why the places stay hidden, with the numbers that show it; empty where they do not."""
        name, places = self.unit.name, int(self.reached.sum())
        if self.unit.operator.circular:
            return f"{name} sees its input go round in a circle, which looks the same from each of {places} places."
        told = places_told(self.gradient)
        return "" if told >= places else f"The gradient of {name} has rank {told} and cannot tell {places} places apart."

    def active(self) -> Tensor:
        """Which units passed their value on to what the head saw, shape (1, outputs, height, width)."""
        slopes = tell_apart(self.unit.operator, self.gradient, self.reached)
        summed = slopes.flatten(1).sum(1)
        length = (summed * self.summed_slope).sum() / summed.square().sum()
        return (length * slopes / (self.slope[0] * self.unit.scale) > HALFWAY).unsqueeze(0)


def find_top(links: Sequence[Link], gradients: Mapping[str, Tensor], slope: Tensor) -> Top | None:
    """The top of a body that ends in a ReLU under poolings; ``slope`` is dL/d(output of the body). None for other bodies."""
    index = len(links)
    while index and isinstance(links[index - 1].module, (*LINEAR, nn.MaxPool2d)):
        index -= 1
        passed = _through_pooling(links[index], slope)
        if passed is None:
            return None
        slope = passed
    unit = unit_under_relu(links[:index])
    summed = None if unit is None else unit.summed_slope(gradients)
    if unit is None or summed is None:
        return None
    return Top(index, unit, slope, unit.weight_gradient(gradients), summed)


def _through_pooling(link: Link, slope: Tensor) -> Tensor | None:
    """The slope at each input of a pooling; None where its windows overlap.

    Of a max-pooling as if each input were its window's largest.
    """
    module = link.module
    if isinstance(module, nn.MaxPool2d):
        if module.kernel_size != module.stride or module.padding or module.dilation != 1 or module.ceil_mode:
            return None
        module = nn.AvgPool2d(module.kernel_size, divisor_override=1)
    values = torch.zeros(link.input_shape, dtype=slope.dtype, requires_grad=True)
    return torch.autograd.grad(module(values), values, slope)[0]


def unit_under_relu(links: Sequence[Link]) -> Unit | None:
    """The unit whose output the ReLU bends that these links end in, by itself or in a block; None for another end."""
    if not links:
        return None
    block = block_units(links[-1])
    if block is not None:
        return block.second
    found = last_unit(links[:-1]) if isinstance(links[-1].module, nn.ReLU) else None
    return None if found is None else found[0]
