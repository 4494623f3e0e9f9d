"""Handwritten digits small enough to train on before one's eyes: those that come with scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, ClassVar

from lab.lazy import Tensor, np, torch

from lab.client.datasets.published import PublishedSet
from lab.client.datasets.split import Split
from lab.errors import LabError

MAX_INK = 16
"""The files count the dark dots of 4 x 4: a pixel is 0 to 16."""
TEST_EVERY = 5
"""Every fifth picture is for testing."""


@dataclass(frozen=True)
class Digits(PublishedSet):
    """1,797 handwritten digits, grey, 8 x 8 pixels (Alpaydin and Kaynak 1998), out of the package scikit-learn."""

    megabytes: ClassVar[float] = 0
    is_download: ClassVar[bool] = False
    channels: ClassVar[int] = 1

    @property
    def class_names(self) -> tuple[str, ...]:
        """The digits."""
        return tuple("0123456789")

    def available(self) -> bool:
        """Whether scikit-learn is installed."""
        return find_spec("sklearn") is not None

    def fetch(self) -> None:
        """The pictures are in the package. Raises ``LabError`` where it is not installed."""
        if not self.available():
            raise self.missing()

    def missing(self) -> LabError:
        """The error without scikit-learn."""
        return LabError("The digits are those of scikit-learn, which is not installed: pip install scikit-learn.")

    def length(self, split: Split) -> int:
        """1,438 for training, 359 for testing."""
        return len(self.everything(split)[1])

    def pixels(self, split: Split, first: int, count: int) -> tuple[Tensor, Tensor]:
        """Shape (count, 1, 8, 8), and the labels."""
        images, labels = self.everything(split)
        return images[first : first + count], labels[first : first + count]

    def everything(self, split: Split) -> tuple[Tensor, Tensor]:
        """All pictures of a split, uint8, and their labels."""
        self.fetch()
        images, labels = _read()
        is_test = torch.arange(len(labels)) % TEST_EVERY == TEST_EVERY - 1
        chosen = is_test if split is Split.TEST else ~is_test
        return images[chosen], labels[chosen]


@cache
def _read() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    images = torch.from_numpy(np.rint(found.images * (255 / MAX_INK)).astype(np.uint8))
    return images[:, None], torch.from_numpy(found.target).long()
