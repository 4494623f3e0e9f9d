"""Fashion-MNIST (Xiao et al. 2017): clothes, in MNIST's format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.client.datasets.idx import IdxSet

NAMES = (
    "T-shirt or top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


@dataclass(frozen=True)
class FashionMNIST(IdxSet):
    """70,000 pieces of clothing, grey, 28 x 28 pixels."""

    megabytes: ClassVar[float] = 31

    @property
    def class_names(self) -> tuple[str, ...]:
        """The ten kinds of clothes."""
        return NAMES
