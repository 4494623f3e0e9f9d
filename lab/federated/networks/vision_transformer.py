"""A vision transformer (Dosovitskiy et al. 2021): each patch of the picture is a word with a place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated

from lab.lazy import nn

from lab.errors import LabError
from lab.federated.networks.base import Network
from lab.options.fields import Bounds, Help


class Pool(Enum):
    """What of all tokens goes into the last layer."""

    CLASS_TOKEN = "class_token"
    MEAN = "mean"


class Positions(Enum):
    """How a patch is told its place: numbers that are trained, or sines, which are not and so have no gradient."""

    LEARNED = "learned"
    FIXED = "fixed"


@dataclass(frozen=True)
class VisionTransformer(Network):
    """Patches as tokens through blocks of self-attention (pre-norm, as ViT); made for pictures of 32 x 32 pixels."""

    patch: Annotated[int, Bounds(1, 64), Help("side of a patch; it has to divide the picture's sides", "pixels")] = 4
    width: Annotated[int, Bounds(8, 1024), Help("numbers of a token; the heads share them evenly")] = 128
    depth: Annotated[int, Bounds(1, 24), Help("blocks of attention and two fully connected layers")] = 4
    heads: Annotated[int, Bounds(1, 16), Help("attentions side by side in each block")] = 4
    pool: Annotated[Pool, Help("the last layer reads a token of its own, or the mean of all")] = Pool.CLASS_TOKEN
    positions: Annotated[Positions, Help("places that are learned, as in most, or fixed sines")] = Positions.LEARNED

    def modules(self, image_shape: tuple[int, int, int], classes: int) -> tuple[nn.Module, nn.Sequential]:
        """The encoder and one linear layer.

        Raises ``LabError`` where patches do not fill the picture, or heads cannot share the width.
        """
        from lab.federated.transformer import Encoder

        if self.width % self.heads:
            raise LabError(
                f"vision_transformer: width = {self.width} cannot be shared by heads = {self.heads}; choose a multiple of "
                f"{self.heads} for the width, such as {self.heads * max(1, round(self.width / self.heads))}."
            )
        channels, height, width = image_shape
        if height % self.patch or width % self.patch:
            raise LabError(
                f"Patches of {self.patch} x {self.patch} pixels do not fill a picture of {height} x {width}; choose sides that "
                f"are multiples of {self.patch}, or another patch."
            )
        places = (height // self.patch) * (width // self.patch)
        body = Encoder(
            channels,
            places,
            self.patch,
            self.width,
            self.depth,
            self.heads,
            class_token=self.pool is Pool.CLASS_TOKEN,
            learned=self.positions is Positions.LEARNED,
        )
        return body, nn.Sequential(nn.Linear(self.width, classes))
