"""CIFAR-10 and CIFAR-100 in torchvision's layout; only the files that hold the wanted pictures are opened."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import Any, ClassVar

from lab.lazy import Tensor, torch

from lab.client.datasets.published import PublishedSet
from lab.client.datasets.split import Split
from lab.errors import LabError


@dataclass(frozen=True)
class CifarSet(PublishedSet):
    """One of the two sets, called as torchvision calls it."""

    lengths: ClassVar[dict[Split, int]] = {Split.TRAIN: 50_000, Split.TEST: 10_000}
    base_folder: ClassVar[str]
    """In the folder of data, as torchvision calls it."""
    per_file: ClassVar[int]
    """Training pictures in one file; the test pictures are one file."""

    def length(self, split: Split) -> int:
        """50,000 or 10,000."""
        return self.lengths[split]

    def pixels(self, split: Split, first: int, count: int) -> tuple[Tensor, Tensor]:
        """Shape (count, 3, 32, 32), and the labels."""
        last = first + count - 1
        numbers = range(first // self.per_file, last // self.per_file + 1) if split is Split.TRAIN else range(1)
        files = [self._open(split, number) for number in numbers]
        pixels = torch.cat([torch.from_numpy(file.data) for file in files]).permute(0, 3, 1, 2)
        labels = torch.tensor([label for file in files for label in file.targets], dtype=torch.long)
        start = first - numbers[0] * self.per_file
        return pixels[start : start + count], labels[start : start + count]

    def available(self) -> bool:
        """Whether torchvision's folder is there."""
        return os.path.isdir(self.folder / self.base_folder)

    def _torchvisions(self) -> Any:
        from torchvision import datasets  # imported here: it costs half a second that most runs need not pay

        return getattr(datasets, type(self).__name__)

    def _open(self, split: Split, number: int) -> Any:
        """Torchvision's data set reduced to one of its files, whose checksum it verifies. Raises ``LabError``."""
        if not self.available():
            raise self.missing()
        whole, train = self._torchvisions(), split is Split.TRAIN
        files = {"train_list": [whole.train_list[number]] if train else [], "test_list": [] if train else whole.test_list}
        one_file = type(whole.__name__, (whole,), files)
        try:
            return one_file(str(self.folder), train=train, download=False)
        except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError):
            name = (files["train_list"] or files["test_list"])[0][0]
            raise LabError(
                f"{self.name}: {name} is missing or damaged; delete its folder and fetch or copy the set again."
            ) from None
