"""VGG-11 (Simonyan and Zisserman 2015, configuration A), as torchvision has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from lab.lazy import nn

from lab.federated.networks.base import IMAGENET_STATISTICS, Network
from lab.options.fields import Bounds, Help

CHANNELS = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)
"""Of each 3x3 convolution; 0 is a max-pooling."""
PLACES, TORCHVISIONS_UNITS = 7, 4096


@dataclass(frozen=True)
class VGG11(Network):
    """torchvision's VGG-11 for pictures of 224 x 224 pixels: eight convolutions, three fully connected layers, no dropout."""

    image_size: ClassVar[int] = 224
    units: Annotated[
        int, Bounds(16, 4096), Help("units of the two hidden fully connected layers; torchvision's have 4,096")
    ] = TORCHVISIONS_UNITS

    def statistics(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """ImageNet's, as torchvision's weights expect."""
        return IMAGENET_STATISTICS if channels == 3 else super().statistics(channels)

    def modules(self, image_shape: tuple[int, int, int], classes: int) -> tuple[nn.Module, nn.Sequential]:
        """Convolutions, an average over each of 7 x 7 places, three linear layers."""
        layers: list[nn.Module] = []
        inputs = image_shape[0]
        for outputs in CHANNELS:
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()] if outputs else [nn.MaxPool2d(2)]
            inputs = outputs or inputs
        head = [nn.Linear(inputs * PLACES**2, self.units), nn.ReLU(), nn.Linear(self.units, self.units), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(PLACES)), nn.Sequential(*head, nn.Linear(self.units, classes))
