"""MobileNetV3 (Howard et al. 2019), as torchvision has it: the network that phones run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, ClassVar

from lab.lazy import nn

from lab.federated.networks.base import IMAGENET_STATISTICS, Network
from lab.options.fields import Help


class Size(Enum):
    """Which of the two that were published."""

    SMALL = "small"
    LARGE = "large"


@dataclass(frozen=True)
class MobileNetV3(Network):
    """torchvision's MobileNetV3 for pictures of 224 x 224 pixels: depthwise convolutions, squeeze and excitation."""

    image_size: ClassVar[int] = 224
    size: Annotated[Size, Help("2.5 million parameters, or 5.5 million")] = Size.SMALL

    def statistics(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """ImageNet's, as torchvision's weights expect."""
        return IMAGENET_STATISTICS if channels == 3 else super().statistics(channels)

    def modules(self, image_shape: tuple[int, int, int], classes: int) -> tuple[nn.Module, nn.Sequential]:
        """Torchvision's body, averaged over all places, and its two linear layers."""
        # imported here: it costs half a second that most runs need not pay; and it says nothing of its types
        from torchvision import models  # pyright: ignore[reportMissingTypeStubs]

        model = getattr(models, f"mobilenet_v3_{self.size.value}")(num_classes=classes)
        if image_shape[0] != 3:
            model.features[0][0] = nn.Conv2d(image_shape[0], 16, 3, 2, 1, bias=False)
        head = [layer for layer in model.classifier if not isinstance(layer, nn.Dropout)]
        return nn.Sequential(model.features, model.avgpool), nn.Sequential(*head)
