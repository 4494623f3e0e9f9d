"""LeNet as Zhu et al. (Deep Leakage from Gradients, NeurIPS 2019) built it to be attacked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lab.lazy import nn

from lab.federated.networks.base import Activation, Network, Padding, feature_count
from lab.options.fields import Help


@dataclass(frozen=True)
class LeNet(Network):
    """Three 5x5 convolutions with 12 channels, sigmoid, all parameters uniform in [-0.5, 0.5] (Zhu et al. 2019)."""

    activation: Annotated[Activation, Help("nonlinearity after each convolution")] = Activation.SIGMOID
    padding: Annotated[Padding, Help("what a convolution sees beyond the border")] = Padding.ZERO

    def modules(self, image_shape: tuple[int, int, int], classes: int) -> tuple[nn.Module, nn.Sequential]:
        """Strides 2, 2, 1 and one linear layer: 15,826 parameters for 32x32 colour pictures and 10 classes."""
        layers: list[nn.Module] = []
        channels = image_shape[0]
        for stride in (2, 2, 1):
            layers += [self._convolution(channels, stride), self.activation.layer()]
            channels = 12
        body = nn.Sequential(*layers)
        head = nn.Sequential(nn.Linear(feature_count(body, image_shape), classes))
        for parameter in (*body.parameters(), *head.parameters()):
            nn.init.uniform_(parameter, -0.5, 0.5)
        return body, head

    def _convolution(self, inputs: int, stride: int) -> nn.Conv2d:
        return nn.Conv2d(inputs, 12, 5, stride, padding=2, padding_mode=self.padding.value)
