"""Pictures that travel inside the experiment itself, so that a result can be repeated with no file around."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from lab.lazy import torch

from lab.client.batch import Batch
from lab.client.datasets.base import CIFAR10_CLASSES, MAX_CLASSES, Dataset
from lab.errors import LabError, spoken
from lab.modalities.images.codec import MAX_BYTES, decode_picture, encode_png, from_text, read_bytes, stacked, to_text
from lab.modalities.images.tones import Tones
from lab.options.fields import AtMost, Bounds, Help
from lab.options.words import counted

MAX_LETTERS = 4 * MAX_BYTES // 3 + 4
"""Of one picture in base64."""


@dataclass(frozen=True)
class Inline(Dataset):
    """Pictures given by hand, kept inside the experiment as PNG in base64."""

    pictures: Annotated[
        tuple[str, ...], AtMost(100, MAX_LETTERS), Help("pictures, each a PNG or JPEG file as base64 text")
    ] = ()
    labels: Annotated[tuple[int, ...], AtMost(100), Help("the class number of each picture")] = ()
    classes: Annotated[int, Bounds(2, MAX_CLASSES), Help("how many classes there are; the labels count from 0")] = 10
    tones: Annotated[
        tuple[Tones, ...], AtMost(100), Help("the numbers drawn black and white in each picture; empty: 0 and 255")
    ] = ()

    def check(self) -> None:
        """As many labels as pictures, each the number of a class."""
        if len(self.labels) != len(self.pictures):
            pictures, labels = counted(len(self.pictures), "picture"), counted(len(self.labels), "label")
            raise LabError(f"inline: {pictures} came with {labels}; give one label for each picture.")
        for label in self.labels:
            if not 0 <= label < self.classes:
                raise LabError(
                    f"inline: the label {spoken(label)} is out of range; give a class number from 0 to {self.classes - 1}."
                )

    @classmethod
    def from_bytes(cls, files: Sequence[tuple[bytes, str]], size: int, labels: Sequence[int] = (), classes: int = 10) -> Inline:
        """Pictures from (content, name) of files, made square and ``size`` pixels wide; without labels all are of class 0.

        Raises ``LabError`` for what is no picture and for labels that do not fit.
        """
        decoded = [decode_picture(data, size, name) for data, name in files]
        tones = tuple(picture.tones or Tones() for picture in decoded)
        pictures = tuple(to_text(encode_png(picture.pixels)) for picture in decoded)
        return cls(pictures, tuple(labels) or (0,) * len(pictures), classes, tones if set(tones) != {Tones()} else ())

    @classmethod
    def from_paths(cls, paths: Sequence[Path], labels: Sequence[int], size: int, classes: int = 10) -> Inline:
        """Pictures from files; as ``from_bytes``."""
        return cls.from_bytes([(read_bytes(path), str(path)) for path in paths], size, labels, classes)

    @property
    def class_names(self) -> tuple[str, ...]:
        """CIFAR-10's names for ten classes, else numbers."""
        return CIFAR10_CLASSES if self.classes == 10 else tuple(f"class {number}" for number in range(self.classes))

    def check_available(self, count: int, size: int) -> None:
        """So many pictures were given."""
        if count > len(self.pictures):
            raise LabError(f"inline: there are {len(self.pictures)} pictures, not {count}; give more or take a smaller batch.")

    def load(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """The first ``count`` pictures; those of another size are scaled. Grey where all of them are."""
        self.check_available(count, size)
        named = [(text, f"inline picture {number}") for number, text in enumerate(self.pictures[:count], 1)]
        images = [decode_picture(from_text(text, name), size, name).pixels for text, name in named]
        notes = [tones.told(f"picture {number}") for number, tones in enumerate(self.tones[:count], 1) if tones != Tones()]
        return Batch(stacked(images), torch.tensor(self.labels[:count], dtype=torch.long), tuple(notes))
