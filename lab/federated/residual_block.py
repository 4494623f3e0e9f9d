"""The block that ResNets are made of."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from lab.federated.networks.base import Activation, BatchNorm


class BlockOptions(Protocol):
    """What a block is built from; ``ResNet`` has it."""

    @property
    def activation(self) -> Activation:
        """The nonlinearity inside and behind the sum."""
        ...

    @property
    def batch_norm(self) -> BatchNorm:
        """Whose statistics normalise."""
        ...

    def convolution(self, inputs: int, outputs: int, kernel: int, stride: int) -> nn.Conv2d:
        """A convolution without bias, as batch norm follows."""
        ...


class Block(nn.Module):
    """act(x + BN(conv(act(BN(conv(x)))))), with a 1x1 convolution on the shortcut where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int, options: BlockOptions) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            options.convolution(inputs, outputs, 3, stride),
            options.batch_norm.layer(outputs),
            options.activation.layer(),
            options.convolution(outputs, outputs, 3, 1),
            options.batch_norm.layer(outputs),
        )
        changes = stride != 1 or inputs != outputs
        projection = (options.convolution(inputs, outputs, 1, stride), options.batch_norm.layer(outputs))
        self.shortcut = nn.Sequential(*projection) if changes else nn.Identity()
        self.activation = options.activation.layer()

    def forward(self, values: Tensor) -> Tensor:
        """The residual added to the shortcut."""
        return self.activation(self.residual(values) + self.shortcut(values))
