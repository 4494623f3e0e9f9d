"""What an experiment says of its pictures: their size, their channels, and how they are normalised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Annotated, Any

from lab.errors import LabError
from lab.federated.tensors import Inputs, Shape
from lab.options.fields import AtMost, Bounds, Help, Option

MIN_SIDE, MAX_SIDE = 8, 512
"""Pixels: a smaller picture shows nothing."""
MAX_CHANNELS = 4
MIN_STD = 1e-3
PICTURE, COLOURS = 3, 3
"""Sides of a picture's tensor, and its channels where nothing tells them."""


@dataclass(frozen=True)
class PictureFormat(Option):
    """The form of the private pictures; of inputs that are none it says nothing."""

    image_size: Annotated[int, Bounds(0, MAX_SIDE), Help("pixels a side; 0 takes what the network was made for")] = 0
    image_width: Annotated[int, Bounds(0, MAX_SIDE), Help("pixels from left to right; 0 makes pictures square")] = 0
    channels: Annotated[int, Bounds(0, MAX_CHANNELS), Help("numbers of a pixel; 0 takes as many as the data set has")] = 0
    mean: Annotated[tuple[float, ...], AtMost(MAX_CHANNELS), Help("taken off each channel; empty: the network's own")] = ()
    std: Annotated[tuple[float, ...], AtMost(MAX_CHANNELS), Help("each channel is divided by it; empty: the network's")] = ()

    def sides_of(self, usual: int) -> tuple[int, int]:
        """Height and width; where nothing is said, those of a square of the ``usual`` side."""
        height = self.image_size or usual
        return height, self.image_width or height

    def shape_of(self, given: Shape, usual: int) -> tuple[int, int, int]:
        """(channels, height, width) of what a data set gives in the shape ``given``."""
        channels = given[0] if isinstance(given, tuple) and len(given) == PICTURE else COLOURS
        return self.channels or channels, *self.sides_of(usual)

    def formed(self, inputs: Inputs, usual: int) -> Inputs:
        """Squares cut to their central height and width, in as many channels as are wanted; named inputs are no pictures."""
        from lab.modalities.images.codec import in_channels

        if not (self.image_width or self.channels) or isinstance(inputs, Mapping):
            return inputs
        channels, height, width = self.shape_of(tuple(inputs.shape[-PICTURE:]), usual)
        top, left = (inputs.shape[-2] - height) // 2, (inputs.shape[-1] - width) // 2
        return in_channels(inputs[..., top : top + height, left : left + width], channels).contiguous()

    def check_format(self) -> None:
        """Raise ``LabError`` for sides that show nothing, and for statistics that are none."""
        for name, side in (("image_size", self.image_size), ("image_width", self.image_width)):
            if 0 < side < MIN_SIDE:
                raise LabError(f"{name} = {side} is too small for a picture; choose 0, or {MIN_SIDE} to {MAX_SIDE} pixels.")
        mean, std = self.mean, self.std
        if mean and std and len(mean) != len(std):
            raise LabError(f"mean = {[*mean]} and std = {[*std]} do not belong together; give one of each for a channel.")
        if not all(map(isfinite, mean)):
            raise LabError(f"mean = {[*mean]} is no mean; give finite numbers.")
        if not all(MIN_STD <= deviation < inf for deviation in std):
            raise LabError(f"std = {[*std]} is no deviation: channels are divided by it; give numbers from {MIN_STD} on.")


def said_of(shape: tuple[int, int, int], mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Any]:
    """The options that say so: of pictures of the shape (channels, height, width), normalised like this."""
    channels, height, width = shape
    width = 0 if width == height else width
    return {"image_size": height, "image_width": width, "channels": channels, "mean": mean, "std": std}
