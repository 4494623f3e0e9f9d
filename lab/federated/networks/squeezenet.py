"""SqueezeNet 1.0 (Iandola et al. 2016): a trained ImageNet network of 5 MB that works offline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.lazy import nn

from lab.federated.networks.base import IMAGENET_STATISTICS, Network


@dataclass(frozen=True)
class SqueezeNet(Network):
    """torchvision's SqueezeNet 1.0 for pictures of 224 x 224 pixels; it has no fully connected layer."""

    image_size: ClassVar[int] = 224

    def statistics(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """ImageNet's, as the published weights expect."""
        return IMAGENET_STATISTICS if channels == 3 else super().statistics(channels)

    def modules(self, image_shape: tuple[int, int, int], classes: int) -> tuple[nn.Module, nn.Sequential]:
        """Fire modules, then a 1x1 convolution to the classes and global average pooling; dropout is off."""
        # imported here: it costs half a second that most runs need not pay; and it says nothing of its types
        from torchvision import models  # pyright: ignore[reportMissingTypeStubs]

        model = models.squeezenet1_0(num_classes=classes)
        if image_shape[0] != 3:
            model.features[0] = nn.Conv2d(image_shape[0], 96, 7, 2)
        return nn.Sequential(model.features, model.classifier), nn.Sequential()
