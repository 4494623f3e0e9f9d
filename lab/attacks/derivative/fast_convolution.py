"""Convolutions by matrix products, where torch's own kernels leave a processor waiting.

Measured on one core, a product takes half to three quarters of the time of torch's kernels for kernels above 3x3
on small pictures (all of LeNet), and the derivative towards the inputs two fifths of it where they are few and the
stride is not 1 (the first layer of every ImageNet network). Torch also keeps weights in an order of its own: it sorts
them before each use, and their gradient afterwards, so that layers of many weights and few positions (the last
ones of every ResNet) take a third less by products. The numbers are those of the convolution, to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_input, conv2d_weight

LARGE_KERNEL = 4
"""Torch takes its heavier kernels from this side on."""
MAX_UNFOLDED = 40_000
"""Up to so many numbers in the unfolded pictures, a product of matrices beats those kernels."""
FEW_CHANNELS = 8
"""Fewer inputs than this do not fill a vector register."""
WEIGHT_RATIO = 4
"""From so many times more weights than unfolded inputs on, sorting them takes longer than a product without."""
MIN_PRODUCTS = 2**20
"""Multiplications from which on a way of one's own pays for being called from Python."""
STRIP = 2**18
"""Numbers of a strip of unfolded rows: 1 MB, which a core's cache holds."""

Sides = tuple[int, int]
Outputs = Callable[[Tensor, Tensor, Tensor | None, Sides, Sides], Tensor]
"""From pictures, weight, bias, stride and padding, as ``functional.conv2d``."""


def with_fast_convolution(module: nn.Module | None) -> nn.Module | None:
    """The same convolution with its weights, by products where they pay; any other module as it is."""
    if not isinstance(module, nn.Conv2d) or type(module) is not nn.Conv2d:  # a subclass may do more than its base
        return module
    return FastConvolution(module) if _is_plain(module) else module


def _is_plain(convolution: nn.Conv2d) -> bool:
    """Padded by zeros, all inputs for all outputs, without holes."""
    padded_by_zeros = convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
    return padded_by_zeros and convolution.groups == 1 and set(convolution.dilation) == {1}


class FastConvolution(nn.Module):
    """``nn.Conv2d`` with the same weights."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self.kernel = cast(Sides, convolution.kernel_size)
        self.stride = cast(Sides, convolution.stride)
        self.padding = cast(Sides, convolution.padding)
        self._shape = torch.Size()

    def forward(self, images: Tensor) -> Tensor:
        """Shape (pictures, inputs, height, width) to (pictures, outputs, rows, columns)."""
        if images.shape != self._shape:
            self._choose(images)
        return self._outputs(images, self.weight, self.bias, self.stride, self.padding)

    def _choose(self, images: Tensor) -> None:
        """Once for each shape: asking anew each time costs a small network a tenth of a training step."""
        self._shape, self._outputs = images.shape, functional.conv2d
        if images.is_cpu:
            positions = len(images) * math.prod(_output_size(images.shape, self.kernel, self.stride, self.padding))
            self._outputs = self._best(positions)

    def _best(self, positions: int) -> Outputs:
        """The quickest way to the outputs, with its way back, at so many positions over all pictures."""
        outputs, inputs = self.weight.shape[:2]
        if min(self.kernel) >= LARGE_KERNEL and positions * self.weight[0].numel() <= MAX_UNFOLDED:
            return _product
        if outputs >= WEIGHT_RATIO * positions and positions * self.weight.numel() >= MIN_PRODUCTS:
            return partial(_Convolution.apply, ALL_BY_PRODUCTS)
        if inputs < FEW_CHANNELS and max(self.stride) > 1:
            return partial(_Convolution.apply, FEW_INPUT_CHANNELS)
        return functional.conv2d


@dataclass(frozen=True)
class Routines:
    """How the outputs and the gradients of inputs and weights are computed, each with the arguments of torch's own."""

    outputs: Outputs = functional.conv2d
    input_gradient: Callable[..., Tensor] = conv2d_input
    weight_gradient: Callable[..., Tensor] = conv2d_weight


class _Convolution(torch.autograd.Function):
    """A convolution whose outputs and gradients each have a routine of their own."""

    @staticmethod
    def forward(
        ctx: Any, routines: Routines, images: Tensor, weight: Tensor, bias: Tensor | None, stride: Sides, padding: Sides
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.routines, ctx.sides = routines, (stride, padding)
        return routines.outputs(images, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (output_gradient,) = grad_outputs
        images, weight = ctx.saved_tensors
        _, needs_input, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        input_gradient = ctx.routines.input_gradient(images.shape, weight, output_gradient, *ctx.sides) if needs_input else None
        weight_gradient = (
            ctx.routines.weight_gradient(images, weight.shape, output_gradient, *ctx.sides) if needs_weight else None
        )
        return None, input_gradient, weight_gradient, output_gradient.sum((0, 2, 3)) if needs_bias else None, None, None


def _output_size(shape: torch.Size, kernel: Sides, stride: Sides, padding: Sides) -> list[int]:
    """Rows and columns of the outputs."""
    sides = zip(shape[2:], kernel, stride, padding, strict=True)
    return [(size + 2 * pad - width) // step + 1 for size, width, step, pad in sides]


def _product(images: Tensor, weight: Tensor, bias: Tensor | None, stride: Sides, padding: Sides) -> Tensor:
    """The outputs: weights times unfolded inputs."""
    kernel = cast(Sides, tuple(weight.shape[2:]))
    columns = functional.unfold(images, kernel, padding=padding, stride=stride)
    rows = weight.flatten(1).expand(len(images), -1, -1)
    product = rows @ columns if bias is None else torch.baddbmm(bias[:, None], rows, columns)
    return product.unflatten(2, _output_size(images.shape, kernel, stride, padding))


def _product_weight_gradient(
    images: Tensor, shape: torch.Size, output_gradient: Tensor, stride: Sides, padding: Sides
) -> Tensor:
    """The outputs' gradient times unfolded inputs, over all positions of all pictures."""
    columns = functional.unfold(images, shape[2:], padding=padding, stride=stride)
    return (output_gradient.transpose(0, 1).flatten(1) @ columns.mT.flatten(0, 1)).view(shape)


def _product_input_gradient(
    shape: torch.Size, weight: Tensor, output_gradient: Tensor, stride: Sides, padding: Sides
) -> Tensor:
    """The outputs' gradient times weights, folded back. In this order: the other walks the weights against the grain."""
    columns = (output_gradient.flatten(2).mT @ weight.flatten(1)).mT
    return functional.fold(columns, shape[2:], weight.shape[2:], padding=padding, stride=stride)


def _input_gradient_by_strips(
    shape: torch.Size, weight: Tensor, output_gradient: Tensor, stride: Sides, padding: Sides
) -> Tensor:
    """Of few inputs at many positions: each output row's gradient spread over the input rows that it saw."""
    spread, kernel = weight.flatten(1).T, weight.shape[2:]
    height, width = shape[2:]
    padded = output_gradient.new_zeros(*shape[:2], height + 2 * padding[0], width + 2 * padding[1])
    rows = max(1, STRIP // (len(output_gradient) * len(spread) * output_gradient.shape[3]))
    for first in range(0, output_gradient.shape[2], rows):
        part = output_gradient[:, :, first : first + rows]
        size = ((part.shape[2] - 1) * stride[0] + kernel[0], (part.shape[3] - 1) * stride[1] + kernel[1])
        strip = functional.fold(spread @ part.flatten(2), size, kernel, stride=stride)
        padded[:, :, first * stride[0] :, : size[1]][:, :, : size[0]] += strip
    return padded[:, :, padding[0] : padding[0] + height, padding[1] : padding[1] + width]


FEW_INPUT_CHANNELS = Routines(input_gradient=_input_gradient_by_strips)
ALL_BY_PRODUCTS = Routines(_product, _product_input_gradient, _product_weight_gradient)
