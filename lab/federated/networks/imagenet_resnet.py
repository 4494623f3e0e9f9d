"""torchvision's ResNets, the networks of the paper's ImageNet experiments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from lab.lazy import nn

from lab.federated.networks.base import IMAGENET_STATISTICS, Network
from lab.options.fields import Choices, Help


@dataclass(frozen=True)
class ImageNetResNet(Network):
    """torchvision's ResNet-18, 34, 50, 101 or 152 for pictures of 224 x 224 pixels."""

    image_size: ClassVar[int] = 224
    depth: Annotated[int, Choices((18, 34, 50, 101, 152)), Help("layers with weights")] = 18

    def statistics(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """ImageNet's, as torchvision's weights expect."""
        return IMAGENET_STATISTICS if channels == 3 else super().statistics(channels)

    def modules(self, image_shape: tuple[int, int, int], classes: int) -> tuple[nn.Module, nn.Sequential]:
        """Torchvision's model with its last layer as the head."""
        # imported here: it costs half a second that most runs need not pay; and it says nothing of its types
        from torchvision import models  # pyright: ignore[reportMissingTypeStubs]

        body = getattr(models, f"resnet{self.depth}")(num_classes=classes)
        if image_shape[0] != 3:
            body.conv1 = nn.Conv2d(image_shape[0], 64, 7, 2, 3, bias=False)
        head = nn.Sequential(body.fc)
        body.fc = nn.Identity()
        return body, head
