"""The topmost convolution of a body whose places are hidden above it, and what the layers in between say about its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from lab.lazy import Bool, Float

from lab.attacks.closed_form.chain import LINEAR, Link
from lab.attacks.closed_form.shapes import BodyOutput, Kernels, OutputMaps, OutputMask
from lab.attacks.closed_form.spatial.conv_bn import ConvBN, block_convolutions, last_conv_bn
from lab.attacks.closed_form.spatial.position_factorisation import factorise_positions, positions_determined
from lab.attacks.closed_form.spatial.robust_least_squares import ACTIVE_THRESHOLD
from lab.federated.tensors import Gradients


@dataclass(frozen=True, eq=False)
class TopmostConvolution:
    """The topmost ReLU, and the convolution whose gradient tells where it was active."""

    index: int
    """Number of links up to and including the ReLU, or the block that ends in it."""
    conv_bn: ConvBN
    output_gradient: OutputMaps
    """dL/d(output of the ReLU) at each place as if the pooling had kept that one, shape (1, outputs, height, width)."""
    gradient: Kernels
    """dL/dW of the convolution."""
    summed_gradient: Float[Tensor, " outputs"]
    """The sum over the places of dL/d(output of the convolution), shape (outputs)."""

    @cached_property
    def reached(self) -> Bool[Tensor, "rows columns"]:
        """The places that a gradient can reach, shape (height, width)."""
        return (self.output_gradient[0] != 0).any(dim=0)

    @cached_property
    def shortcoming(self) -> str:
        """Why the places stay hidden, with the numbers that show it; empty where they do not."""
        name, positions = self.conv_bn.name, int(self.reached.sum())
        if self.conv_bn.operator.circular:
            return f"{name} sees its input go round in a circle, which looks the same from each of {positions} places."
        determined = positions_determined(self.gradient)
        return (
            ""
            if determined >= positions
            else f"The gradient of {name} has rank {determined} and cannot tell {positions} places apart."
        )

    def active(self) -> OutputMask:
        """Which units passed their value on to what the head saw, shape (1, outputs, height, width)."""
        output_gradients = factorise_positions(self.conv_bn.operator, self.gradient, self.reached)
        summed = output_gradients.flatten(1).sum(1)
        length = (summed * self.summed_gradient).sum() / summed.square().sum()
        return (length * output_gradients / (self.output_gradient[0] * self.conv_bn.scale) > ACTIVE_THRESHOLD).unsqueeze(0)


def find_topmost_convolution(
    links: Sequence[Link], gradients: Gradients, output_gradient: BodyOutput
) -> TopmostConvolution | None:
    """The top of a body that ends in a ReLU under poolings; ``output_gradient`` is dL/d(its output). None for others."""
    index = len(links)
    while index and isinstance(links[index - 1].module, (*LINEAR, nn.MaxPool2d)):
        index -= 1
        passed = _through_pooling(links[index], output_gradient)
        if passed is None:
            return None
        output_gradient = passed
    conv_bn = conv_bn_under_relu(links[:index])
    summed = None if conv_bn is None else conv_bn.summed_gradient(gradients)
    if conv_bn is None or summed is None:
        return None
    return TopmostConvolution(index, conv_bn, output_gradient, conv_bn.weight_gradient(gradients), summed)


def _through_pooling(link: Link, output_gradient: Tensor) -> Tensor | None:
    """The gradient at each input of a pooling; None where its windows overlap.

    Of a max-pooling as if each input were its window's largest.
    """
    module = link.module
    if isinstance(module, nn.MaxPool2d):
        if module.kernel_size != module.stride or module.padding or module.dilation != 1 or module.ceil_mode:
            return None
        module = nn.AvgPool2d(module.kernel_size, divisor_override=1)
    values = torch.zeros(link.input_shape, dtype=output_gradient.dtype, requires_grad=True)
    return torch.autograd.grad(module(values), values, output_gradient)[0]


def conv_bn_under_relu(links: Sequence[Link]) -> ConvBN | None:
    """The unit whose output the ReLU bends that these links end in, by itself or in a block; None for another end."""
    if not links:
        return None
    block = block_convolutions(links[-1])
    if block is not None:
        return block.second
    found = last_conv_bn(links[:-1]) if isinstance(links[-1].module, nn.ReLU) else None
    return None if found is None else found[0]
