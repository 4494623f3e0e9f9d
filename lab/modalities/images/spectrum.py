"""Pictures in coordinates in which photographs are white: broad shapes move far, fine ones hardly, colours less than light.

The amplitude of photographs falls nearly as one over the frequency (Field 1987), and most of their colours lie along grey. A
sum of squares in these coordinates is minus the logarithm of the likelihood of a Gaussian photograph.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from lab.lazy import Float, Tensor, torch

from lab.federated.tensors import Images

SPECTRAL_EXPONENT = 1.2
"""Amplitude falls as the frequency, in half periods across the picture, to this power."""
CONTRAST = 0.25
"""Root mean square deviation of pixels from grey."""
COLOURS = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))
SHARES = (1.6, 0.5, 0.25)
"""Light, red against blue, green against both; and how strong each is."""
GREY = 0.5


@dataclass(frozen=True)
class Spectrum:
    """The coordinates of pictures of one shape, (channels, height, width)."""

    channels: int
    height: int
    width: int

    def pixels(self, white: Float[Tensor, "batch channels height width"]) -> Images:
        """Pictures around mid-grey of coordinates that are white noise for photographs; same shape, linear."""
        rows, columns, amplitude, colours = (part.to(white) for part in self._parts)
        return GREY + rows.T @ torch.einsum("kc,bkij->bcij", colours, white * amplitude) @ columns

    @cached_property
    def _parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        across, down = torch.arange(self.width, dtype=torch.float64), torch.arange(self.height, dtype=torch.float64)
        amplitude = (1 + down[:, None].square() + across.square()) ** (-SPECTRAL_EXPONENT / 2)
        scaled = CONTRAST * amplitude / amplitude.square().mean().sqrt()
        return _cosines(self.height), _cosines(self.width), scaled, _colours(self.channels)


def _cosines(size: int) -> Float[Tensor, "size size"]:
    """The orthonormal cosine transform, a row for each frequency."""
    places = torch.arange(size, dtype=torch.float64)
    waves = torch.cos(math.pi * places[:, None] * (places + 0.5) / size) * math.sqrt(2 / size)
    waves[0] /= math.sqrt(2)
    return waves


def _colours(channels: int) -> Float[Tensor, "channels channels"]:
    """The directions of colours, each as long as it is strong; of other than three channels nothing is known."""
    if channels != len(COLOURS):
        return torch.eye(channels, dtype=torch.float64)
    directions = torch.tensor(COLOURS, dtype=torch.float64)
    return directions / directions.square().sum(1, keepdim=True).sqrt() * torch.tensor(SHARES, dtype=torch.float64)[:, None]
