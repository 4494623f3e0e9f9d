"""Convolutions by matrix products, in the two places where torch's own kernels leave a processor waiting.

Measured on one core, a product takes half to three quarters of the time of torch's kernels for kernels above 3x3
on small pictures (all of LeNet), and the derivative towards the inputs two fifths of it where they are few and the
stride is not 1 (the first layer of every ImageNet network). The numbers are those of the convolution, to rounding.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_weight

LARGE_KERNEL = 4
"""Torch takes its heavier kernels from this side on."""
SMALL = 40_000
"""Up to so many numbers in the unfolded pictures, a product of matrices beats those kernels."""
FEW_CHANNELS = 8
"""Fewer inputs than this do not fill a vector register."""
STRIP = 2**18
"""Numbers of a strip of unfolded rows: 1 MB, which a core's cache holds."""


def with_quick_convolution(module: nn.Module | None) -> nn.Module | None:
    """The same convolution with its weights, by products where they pay; any other module as it is."""
    return QuickConvolution(module) if isinstance(module, nn.Conv2d) and _is_plain(module) else module


def _is_plain(convolution: nn.Conv2d) -> bool:
    """Padded by zeros, all inputs for all outputs, without holes."""
    padded_by_zeros = convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
    return padded_by_zeros and convolution.groups == 1 and set(convolution.dilation) == {1}


class QuickConvolution(nn.Module):
    """``nn.Conv2d`` with the same weights."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self.kernel = convolution.kernel_size
        self.stride = convolution.stride
        self.padding = cast(tuple[int, int], convolution.padding)
        self._shape = torch.Size()

    def forward(self, images: Tensor) -> Tensor:
        """Shape (pictures, inputs, height, width) to (pictures, outputs, rows, columns)."""
        if images.shape != self._shape:
            self._choose(images)
        return self._way(self, images)

    def _choose(self, images: Tensor) -> None:
        """Once for each shape: asking anew each time costs a small network a tenth of a training step."""
        sides = zip(images.shape[2:], self.kernel, self.stride, self.padding, strict=True)
        self._places = [(size + 2 * padding - kernel) // stride + 1 for size, kernel, stride, padding in sides]
        unfolded = len(images) * self.weight[0].numel() * math.prod(self._places)
        self._shape, self._way = images.shape, QuickConvolution._stock  # unbound: no cycle keeps the weights alive
        if images.is_cpu and min(self.kernel) >= LARGE_KERNEL and unfolded <= SMALL:
            self._way = QuickConvolution._product
        elif images.is_cpu and images.shape[1] < FEW_CHANNELS and max(self.stride) > 1:
            self._way = QuickConvolution._few_inputs

    def _stock(self, images: Tensor) -> Tensor:
        return functional.conv2d(images, self.weight, self.bias, self.stride, self.padding)

    def _few_inputs(self, images: Tensor) -> Tensor:
        return _FewInputs.apply(images, self.weight, self.bias, self.stride, self.padding)

    def _product(self, images: Tensor) -> Tensor:
        columns = functional.unfold(images, self.kernel, padding=self.padding, stride=self.stride)
        weight = self.weight.flatten(1).expand(len(images), -1, -1)
        product = weight @ columns if self.bias is None else torch.baddbmm(self.bias[:, None], weight, columns)
        return product.unflatten(2, self._places)


class _FewInputs(torch.autograd.Function):
    """Torch's convolution forward and towards the weights; a product, strip by strip, towards the pictures."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int], padding: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(images, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = grad_outputs
        images, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        towards_images = _in_strips(slope, weight, images.shape, ctx.stride, ctx.padding) if wanted[0] else None
        towards_weight = conv2d_weight(images, weight.shape, slope, ctx.stride, ctx.padding) if wanted[1] else None
        return towards_images, towards_weight, slope.sum((0, 2, 3)) if wanted[2] else None, None, None


def _in_strips(slope: Tensor, weight: Tensor, shape: torch.Size, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
    """The convolution's transpose: each output row's slope spread over the input rows that it saw."""
    spread = weight.flatten(1).T
    (height, width), (kernel_height, kernel_width) = shape[2:], weight.shape[2:]
    padded = slope.new_zeros(*shape[:2], height + 2 * padding[0], width + 2 * padding[1])
    rows = max(1, STRIP // (len(slope) * len(spread) * slope.shape[3]))
    for first in range(0, slope.shape[2], rows):
        part = slope[:, :, first : first + rows]
        size = ((part.shape[2] - 1) * stride[0] + kernel_height, (part.shape[3] - 1) * stride[1] + kernel_width)
        strip = functional.fold(spread @ part.flatten(2), size, (kernel_height, kernel_width), stride=stride)
        padded[:, :, first * stride[0] :, : size[1]][:, :, : size[0]] += strip
    return padded[:, :, padding[0] : padding[0] + height, padding[1] : padding[1] + width]
