"""The lab's default: small enough for one slow core, convolutional enough to be honest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lab.lazy import nn

from lab.federated.networks.base import Activation, Network, Padding, feature_count
from lab.options.fields import Bounds, Help


@dataclass(frozen=True)
class SmallConvNet(Network):
    """Three strided convolutions and one fully connected layer, about 100,000 parameters."""

    width: Annotated[int, Bounds(4, 128), Help("channels of the first layer; the others have twice as many")] = 32
    activation: Annotated[Activation, Help("nonlinearity after each convolution")] = Activation.RELU
    padding: Annotated[Padding, Help("what a convolution sees beyond the border")] = Padding.ZERO

    def modules(self, image_shape: tuple[int, int, int], classes: int) -> tuple[nn.Module, nn.Sequential]:
        """Convolutions with strides 1, 2 and 2, then one linear layer."""
        layers: list[nn.Module] = []
        channels = image_shape[0]
        for outputs, stride in ((self.width, 1), (2 * self.width, 2), (2 * self.width, 2)):
            layers += [self._convolution(channels, outputs, stride), self.activation.layer()]
            channels = outputs
        body = nn.Sequential(*layers)
        return body, nn.Sequential(nn.Linear(feature_count(body, image_shape), classes))

    def _convolution(self, inputs: int, outputs: int, stride: int) -> nn.Conv2d:
        return nn.Conv2d(inputs, outputs, 3, stride, padding=1, padding_mode=self.padding.value)
