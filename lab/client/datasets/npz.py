"""Pictures from NumPy's ``.npz`` files, whatever the arrays are called that hold pictures and labels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from lab.lazy import np, torch

from lab.client.batch import Batch
from lab.client.datasets.array_names import PARTS, Pair, paired
from lab.client.datasets.base import CIFAR10_CLASSES, Dataset
from lab.client.datasets.class_numbers import Classes, understood
from lab.client.datasets.layouts import channels_first, pictures_in
from lab.errors import LabError
from lab.files import arrays
from lab.modalities.images.codec import central_square, resized
from lab.modalities.images.tones import tones_of
from lab.options.fields import Bounds, Choices, Help


@dataclass(frozen=True)
class Npz(Dataset):
    """An .npz file with pictures and labels, named as images and labels or as MedMNIST, Keras and others name them."""

    path: Annotated[str, Help("the .npz file")] = ""
    first: Annotated[int, Bounds(0, 10**7), Help("number of the first private picture, from 0")] = 0
    part: Annotated[str, Choices(("", *PARTS)), Help("of a file in parts the one to take; empty takes the first there is")] = ""

    @property
    def class_names(self) -> tuple[str, ...]:
        """CIFAR-10's while the labels fit them; the file's own where it holds names or identifiers; else numbers."""
        return self._read_classes(*self._found()).names

    def load(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """``count`` pictures from ``first`` on: central squares, scaled smoothly."""
        pair, found = self._found()
        classes = self._read_classes(pair, found)
        whole = arrays.read(Path(self.path), pair.images)
        images = channels_first(whole, _shape(found, pair.labels), self._where(pair.images))
        if self.first + count > len(images):
            raise LabError(
                f"npz: {self.path} holds {len(images)} pictures, so {count} from number {self.first} on cannot be had; "
                "take a smaller first or batch."
            )
        part = slice(self.first, self.first + count)
        pixels, told = self._pixels(whole, images[part], pair)
        labels = torch.from_numpy(classes.numbers[part].astype(np.int64))
        return Batch(resized(central_square(pixels), size), labels, tuple(filter(None, (pair.note, classes.note, told))))

    def check_available(self, count: int, size: int) -> None:
        """The file is there and names its arrays."""
        self._found()

    def _found(self) -> tuple[Pair, dict[str, arrays.Header]]:
        """Which arrays are wanted, and what the file says of all of them."""
        if not os.path.isfile(self.path):
            raise LabError(f"npz: there is no file {self.path!r}; give the path of an .npz file.")
        found = arrays.headers(Path(self.path))
        return paired(found, self.part, Path(self.path).name), found

    def _where(self, array: str) -> str:
        """An array in words; the file by its name alone, as what is said of a run may be shown to others."""
        return f"the array {array} of {Path(self.path).name}"

    def _read_classes(self, pair: Pair, found: dict[str, arrays.Header]) -> Classes:
        labels = _shape(found, pair.labels)
        pictures = pictures_in(found[pair.images].shape, labels)
        if pair.labels is None:
            nothing = "There are no labels, so every picture is of class 0."
            return Classes(np.zeros(pictures, np.int64), CIFAR10_CLASSES, nothing)
        return understood(arrays.read(Path(self.path), pair.labels), pictures, self._where(pair.labels))

    def _pixels(self, whole: np.ndarray, images: np.ndarray, pair: Pair) -> tuple[torch.Tensor, str]:
        """Floats in [0, 1], by the tones of the whole array, and what needs saying of them."""
        where = self._where(pair.images)
        if whole.dtype.kind not in "biuf":
            raise LabError(f"npz: {where} is made of {whole.dtype}; give numbers.")
        if whole.dtype.kind == "f" and not np.isfinite(whole).all():
            raise LabError(f"npz: {where} holds NaN or infinity; give numbers for all pixels.")
        tones, unusual = tones_of(whole)
        return torch.from_numpy(tones.applied(images)).contiguous(), tones.told(where) if unusual else ""


def _shape(found: dict[str, arrays.Header], name: str | None) -> tuple[int, ...] | None:
    return None if name is None else found[name].shape
