"""Total variation: neighbouring pixels should be alike."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lab.priors.base import Prior
from lab.types import Images


@dataclass(frozen=True)
class TotalVariation(Prior):
    """Anisotropic total variation, mean |dx| + mean |dy| (Geiping et al. 2020, equation 4)."""

    def __call__(self, images: Images) -> Tensor:
        """Per pixel difference, in units of the pixel range."""
        across = (images[..., :, 1:] - images[..., :, :-1]).abs().mean()
        down = (images[..., 1:, :] - images[..., :-1, :]).abs().mean()
        return across + down
