"""A folder of pictures: each sub-folder is a class; a flat folder is all of class 0."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from lab.lazy import torch

from lab.client.batch import Batch
from lab.client.datasets.base import CIFAR10_CLASSES, MAX_CLASSES, Dataset
from lab.errors import LabError
from lab.modalities.images import foreign_formats
from lab.modalities.images.codec import SUFFIXES, read_picture, stacked
from lab.options.fields import Bounds, Help

SYSTEMS_OWN = ("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found")
"""Folders, in small letters, that systems make for themselves; whatever begins with a dot is hidden as well."""


@dataclass(frozen=True)
class Folder(Dataset):
    """A folder of your own pictures; sub-folders are the classes, and what is hidden is left alone."""

    path: Annotated[str, Help("the folder")] = ""
    first: Annotated[int, Bounds(0, 10**7), Help("number of the first private picture in the order of paths, from 0")] = 0

    @property
    def class_names(self) -> tuple[str, ...]:
        """The sub-folders' names in alphabetical order.

        CIFAR-10's ten where the folder is flat or all its sub-folders are called after them, so that
        networks trained on CIFAR-10 understand the labels. A lone class of another name gets a counterpart:
        with one class nothing is learnt and no gradient flows.
        """
        names = sorted({path.parent.name for path in self._files() if path.parent != Path(self.path)})
        if len(names) > MAX_CLASSES:
            raise LabError(f"folder: {self.path} has {len(names)} sub-folders; at most {MAX_CLASSES} classes are possible.")
        if set(names) <= set(CIFAR10_CLASSES):
            return CIFAR10_CLASSES
        return tuple(names) if len(names) > 1 else (names[0], f"not {names[0]}")

    def load(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """``count`` pictures from ``first`` on, in the order of their paths: central squares, scaled. Grey where all are."""
        chosen, names = self._chosen(count), self.class_names
        labels = [0 if file.parent == Path(self.path) else names.index(file.parent.name) for file in chosen]
        pictures = [read_picture(file, size) for file in chosen]
        notes = [picture.tones.told(file.name) for picture, file in zip(pictures, chosen, strict=True) if picture.tones]
        return Batch(stacked([picture.pixels for picture in pictures]), torch.tensor(labels, dtype=torch.long), tuple(notes))

    def check_available(self, count: int, size: int) -> None:
        """So many pictures are there."""
        self._chosen(count)

    def _chosen(self, count: int) -> list[Path]:
        files = self._files()
        if self.first + count > len(files):
            raise LabError(
                f"folder: {self.path} holds {len(files)} pictures, so {count} from number {self.first} on cannot be had; "
                "add pictures, or take a smaller first or batch."
            )
        return files[self.first : self.first + count]

    def _files(self) -> list[Path]:
        """The pictures of the sub-folders, or of the folder itself where those have none."""
        root = Path(self.path)
        if not self.path or not os.path.isdir(root):
            raise LabError(f"folder: there is no folder {self.path!r}; give the path of a folder with pictures.")
        try:
            found = _visible(root, SUFFIXES)
            unread = [] if found else _visible(root, foreign_formats.SUFFIXES)
        except OSError as error:
            raise LabError(f"folder: {self.path} cannot be read ({error.strerror}); check its permissions.") from None
        if unread:
            kinds = ", ".join(sorted({path.suffix.lower() for path in unread}))
            raise LabError(f"folder: {self.path} holds pictures that are not read here ({kinds}); save them as PNG or JPEG.")
        if not found:
            raise LabError(f"folder: {self.path} holds no pictures; put files such as PNG or JPEG there or in sub-folders.")
        return found


def _visible(root: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files of these endings in the sub-folders, or in the folder itself where those have none; nothing hidden."""
    return _like(root.glob("*/*"), root, suffixes) or _like(root.iterdir(), root, suffixes)


def _like(paths: Iterable[Path], root: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in suffixes and not _hidden(path.relative_to(root)) and os.path.isfile(path)
    )


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part.lower() in SYSTEMS_OWN for part in path.parts)
