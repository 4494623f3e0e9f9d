"""The square norm around mid-grey."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Tensor

from lab.attacks.matching.priors.base import Prior
from lab.federated.tensors import Images


@dataclass(frozen=True)
class L2(Prior):
    """The mean square distance of each pixel from its picture's mean: contrast costs."""

    def __call__(self, images: Images, /) -> Tensor:
        """The variance over pixels, averaged over pictures and channels."""
        return (images - images.mean((-2, -1), keepdim=True)).square().mean()
