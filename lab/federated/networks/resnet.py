"""ResNets for CIFAR (He et al. 2016, section 4.2), widened as Geiping et al. 2020 do: ResNet20-4, ResNet32-10."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lab.lazy import nn

from lab.federated.networks.base import NORM_HELP, Activation, BatchNorm, Network, Padding
from lab.options.fields import Bounds, Choices, Help


@dataclass(frozen=True)
class ResNet(Network):
    """CIFAR ResNet of a given depth and width: 20-1 is He's, 20-4 and 32-10 are the paper's."""

    depth: Annotated[int, Choices((8, 14, 20, 32, 44, 56, 110)), Help("layers with weights, 6n + 2")] = 20
    widen: Annotated[int, Bounds(1, 10), Help("channels in units of 16")] = 1
    activation: Annotated[Activation, Help("nonlinearity of each block")] = Activation.RELU
    padding: Annotated[Padding, Help("what a convolution sees beyond the border")] = Padding.ZERO
    batch_norm: Annotated[BatchNorm, Help(NORM_HELP)] = BatchNorm.EVAL

    def convolution(self, inputs: int, outputs: int, kernel: int, stride: int) -> nn.Conv2d:
        """A convolution without bias, as batch norm follows."""
        return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, padding_mode=self.padding.value, bias=False)

    def modules(self, image_shape: tuple[int, int, int], classes: int) -> tuple[nn.Module, nn.Sequential]:
        """Three stages of (depth - 2) / 6 blocks, global average pooling, one linear layer."""
        from lab.federated.residual_block import Block

        base = 16 * self.widen
        stem = [self.convolution(image_shape[0], base, 3, 1), self.batch_norm.layer(base), self.activation.layer()]
        blocks: list[nn.Module] = []
        channels = base
        for outputs, first_stride in ((base, 1), (2 * base, 2), (4 * base, 2)):
            for index in range((self.depth - 2) // 6):
                blocks.append(Block(channels, outputs, first_stride if index == 0 else 1, self))
                channels = outputs
        return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1)), nn.Sequential(nn.Linear(channels, classes))
