"""CIFAR-10 (Krizhevsky 2009): the pictures of the paper's tables are test pictures 0 to 99."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.lazy import Tensor

from lab.client.datasets import sheets
from lab.client.datasets.base import CIFAR10_CLASSES
from lab.client.datasets.split import Split
from lab.client.datasets.torchvision_cifar import CifarSet


@dataclass(frozen=True)
class CIFAR10(CifarSet):
    """60,000 colour photographs of 32 x 32 pixels in 10 classes."""

    base_folder: ClassVar[str] = "cifar-10-batches-py"
    per_file: ClassVar[int] = 10_000
    megabytes: ClassVar[float] = 170

    @property
    def class_names(self) -> tuple[str, ...]:
        """From airplane to truck."""
        return CIFAR10_CLASSES

    def available(self) -> bool:
        """Whether sheets or torchvision's files are there."""
        return sheets.present(self.folder) or super().available()

    def length(self, split: Split) -> int:
        """50,000 or 10,000, or what lies in the folder as sheets (``lab.client.datasets.sheets``)."""
        if sheets.present(self.folder):
            return len(sheets.labels(self.folder, split is Split.TRAIN))
        return super().length(split)

    def pixels(self, split: Split, first: int, count: int) -> tuple[Tensor, Tensor]:
        """Shape (count, 3, 32, 32), and the labels; from sheets where they lie in the folder."""
        if not sheets.present(self.folder):
            return super().pixels(split, first, count)
        train = split is Split.TRAIN
        labels = sheets.labels(self.folder, train)[first : first + count]
        return sheets.pictures(self.folder, train, first, count), labels
