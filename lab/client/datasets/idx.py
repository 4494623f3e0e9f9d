"""MNIST's own file format (idx): a short header, then bytes; plain or gzipped, read only as far as needed."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import ClassVar

from lab.lazy import Tensor, np, torch

from lab.client.datasets.published import PublishedSet
from lab.client.datasets.split import Split
from lab.errors import LabError


@dataclass(frozen=True)
class IdxSet(PublishedSet):
    """A set in four idx files: those of torchvision's download, or lying plainly in the folder."""

    channels: ClassVar[int] = 1

    def length(self, split: Split) -> int:
        """What the header of the labels' file says."""
        return _read(self._file(split, "labels-idx1"), 0, 0)[1]

    def pixels(self, split: Split, first: int, count: int) -> tuple[Tensor, Tensor]:
        """Shape (count, 1, 28, 28), and the labels."""
        images, _ = _read(self._file(split, "images-idx3"), first, count)
        labels, _ = _read(self._file(split, "labels-idx1"), first, count)
        return images[:, None], labels.long()

    def available(self) -> bool:
        """Whether any of the four files is there."""
        kinds = ("images-idx3", "labels-idx1")
        return any(self._find(split, what) is not None for split in Split for what in kinds)

    def _file(self, split: Split, what: str) -> Path:
        found = self._find(split, what)
        if found is not None:
            return found
        if not self.available():
            raise self.missing()
        raise LabError(f"{self.name}: {self.folder} lacks the {split.value} {what} file; copy it there, or delete the others.")

    def _find(self, split: Split, what: str) -> Path | None:
        """Torchvision's place first: plain files in a folder that several sets share could be another set's."""
        name = f"{'train' if split is Split.TRAIN else 't10k'}-{what}-ubyte"
        places = (self.folder / type(self).__name__ / "raw", self.folder)
        return next((path for place in places for path in (place / name, place / f"{name}.gz") if os.path.isfile(path)), None)


def _read(path: Path, first: int, count: int) -> tuple[Tensor, int]:
    """Items ``first`` to ``first + count - 1`` as uint8, and how many the file holds. Raises ``LabError``."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            length, *item = _header(file)
            size = int(np.prod(item, dtype=np.int64))
            file.seek(first * size, 1)
            data = file.read(count * size)
        return torch.from_numpy(np.frombuffer(data, np.uint8).copy().reshape(count, *item)), length
    except (OSError, EOFError, ValueError, struct.error, zlib.error):
        raise LabError(f"{path} is damaged or no idx file; delete it and copy or download it again.") from None


def _header(file: BufferedIOBase) -> tuple[int, ...]:
    """The lengths of the dimensions, the first being the number of items."""
    zeros, kind, dimensions = struct.unpack(">HBB", file.read(4))
    if zeros != 0 or kind != 8 or not 1 <= dimensions <= 3:
        raise ValueError("not an idx file of bytes")
    return struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
