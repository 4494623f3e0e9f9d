"""MNIST (LeCun et al. 1998): handwritten digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.client.datasets.idx import IdxSet


@dataclass(frozen=True)
class MNIST(IdxSet):
    """70,000 handwritten digits, grey, 28 x 28 pixels."""

    megabytes: ClassVar[float] = 12

    @property
    def class_names(self) -> tuple[str, ...]:
        """The digits."""
        return tuple("0123456789")
