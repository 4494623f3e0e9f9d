"""How many of a layer's unknowns its two linear systems can tell: counted, not factorised.

The weight gradient is the same system for each input channel. A stride s splits the pixels
of a channel into s x s classes that share no equation: a pixel is met only by the kernel taps
of its class, and each tap gives at most rank(dz) independent equations. Several pictures share
the weight gradient: their pixels count together, the equations once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.lazy import Float

from lab.attacks.closed_form.convolution import Convolution, channel_matrix
from lab.attacks.closed_form.shapes import OutputMaps
from lab.federated.singular_values import rank_of


@dataclass(frozen=True)
class Count:
    """Sizes of the two systems of one convolution, and a bound on their joint rank."""

    unknowns: int
    weight_equations: int
    forward_equations: int
    rank: int
    """At most this many unknowns are determined; exactly so many unless the kernel is nearly as large as the picture."""

    @property
    def equations(self) -> int:
        """Both systems together."""
        return self.weight_equations + self.forward_equations

    @property
    def enough(self) -> bool:
        """Whether each unknown can be determined."""
        return self.rank >= self.unknowns


def count(convolution: Convolution, output_gradient: OutputMaps, known: OutputMaps) -> Count:
    """Count for the output gradient dz and the weights of the known outputs, both (pictures, outputs, h, w)."""
    channels = convolution.input_shape[1]
    unknowns = math.prod(convolution.input_shape)
    forward = int((known > 0).sum())
    determined = channels * weight_rank(convolution, numerical_rank(channel_matrix(output_gradient)))
    return Count(unknowns, convolution.weight.numel(), forward, min(unknowns, determined + forward))


def weight_rank(convolution: Convolution, gradient_rank: int) -> int:
    """Rank of the weight-gradient system of one input channel: a sum over the classes of pixels."""
    down, across = (_classes(convolution, axis) for axis in (0, 1))
    return sum(min(gradient_rank * a * b, convolution.pictures * m * n) for a, m in down for b, n in across)


def _classes(convolution: Convolution, axis: int) -> list[tuple[int, int]]:
    """(taps, pixels) of each class along one axis."""
    layer, size = convolution.layer, convolution.input_shape[2 + axis]
    stride, dilation = layer.stride[axis], layer.dilation[axis]
    padding = int(layer.padding[axis])
    taps = [tap * dilation for tap in range(layer.kernel_size[axis])]
    outputs = (size + 2 * padding - taps[-1] - 1) // stride + 1
    if convolution.circular and size % stride:
        return [(len(taps), size)]
    met = (
        {(stride * p + tap - padding) % size for p in range(outputs) for tap in taps}
        if convolution.circular
        else {stride * p + tap - padding for p in range(outputs) for tap in taps}
    )
    classes = []
    for offset in range(stride):
        pixels = sum(1 for pixel in range(size) if pixel in met and (pixel + padding) % stride == offset)
        classes.append((sum(1 for tap in taps if tap % stride == offset), pixels))
    return classes


def numerical_rank(matrix: Float[Tensor, "rows columns"], tolerance: float = 1e-6) -> int:
    """Singular values above ``tolerance`` of the largest."""
    return rank_of(torch.linalg.svdvals(matrix), tolerance)
