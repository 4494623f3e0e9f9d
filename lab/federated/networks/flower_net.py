"""The net of Flower's PyTorch tutorial, which is LeNet-5's shape: what most first federations train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lab.lazy import nn

from lab.federated.networks.base import Activation, Network, feature_count
from lab.options.fields import Help


@dataclass(frozen=True)
class FlowerNet(Network):
    """Two 5x5 convolutions of 6 and 16 channels with max-pooling, fully connected layers of 120, 84 and the classes."""

    activation: Annotated[Activation, Help("nonlinearity after each layer")] = Activation.RELU

    def statistics(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The tutorial's: every channel from -1 to 1."""
        return (0.5,) * channels, (0.5,) * channels

    def modules(self, image_shape: tuple[int, int, int], classes: int) -> tuple[nn.Module, nn.Sequential]:
        """62,006 parameters for 32x32 colour pictures and 10 classes."""
        layers: list[nn.Module] = []
        for inputs, outputs in ((image_shape[0], 6), (6, 16)):
            layers += [nn.Conv2d(inputs, outputs, 5), self.activation.layer(), nn.MaxPool2d(2)]
        body = nn.Sequential(*layers)
        head = [
            nn.Linear(feature_count(body, image_shape), 120),
            self.activation.layer(),
            nn.Linear(120, 84),
            self.activation.layer(),
        ]
        return body, nn.Sequential(*head, nn.Linear(84, classes))
