"""The vision transformers of ImageNet (Dosovitskiy et al. 2021; Touvron et al. 2021): ViT-B/16 is torchvision's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from lab.lazy import nn

from lab.federated.networks.base import IMAGENET_STATISTICS, Network
from lab.federated.networks.vision_transformer import VisionTransformer
from lab.options.fields import Choices, Help

HEAD_WIDTH = 64
"""Numbers of a token that one attention sees."""
BASE_WIDTH = 768


@dataclass(frozen=True)
class ImageNetViT(Network):
    """ViT-Ti/16, ViT-S/16 or ViT-B/16 (torchvision's) for pictures of 224 x 224 pixels, which are 196 patches."""

    image_size: ClassVar[int] = 224
    width: Annotated[int, Choices((192, 384, BASE_WIDTH)), Help("numbers of a token: 192 is Ti, 384 is S, 768 is B")] = 384

    def statistics(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """ImageNet's, as torchvision's weights expect."""
        return IMAGENET_STATISTICS if channels == 3 else super().statistics(channels)

    def modules(self, image_shape: tuple[int, int, int], classes: int) -> tuple[nn.Module, nn.Sequential]:
        """Twelve blocks on patches of 16 x 16 pixels, the class token, one linear layer."""
        whole = VisionTransformer(patch=16, width=self.width, depth=12, heads=self.width // HEAD_WIDTH)
        return whole.modules(image_shape, classes)
