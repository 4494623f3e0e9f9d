"""A folder of pictures by name: the owner of a machine lends it, and nobody else needs to know where it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, TypeVar

from lab.lazy import torch

from lab.client.batch import Batch
from lab.client.datasets.base import Dataset
from lab.client.datasets.folder import Folder
from lab.errors import LabError
from lab.files.lent_folders import find
from lab.files.regular import check_regular
from lab.modalities.images.codec import SUFFIXES
from lab.options.fields import AtMost, Bounds, Help, Name

T = TypeVar("T")
MAX_FILES = 100_000
LONGEST_NAME = 255


@dataclass(frozen=True)
class LentFolder(Dataset):
    """A folder of pictures that the owner of this machine lends by name; sub-folders are the classes."""

    folder: Annotated[str, Name(), AtMost(letters=LONGEST_NAME), Help("the folder's name")] = ""
    first: Annotated[int, Bounds(0, 10**7), Help("number of the first private picture in the order of paths, from 0")] = 0

    @property
    def class_names(self) -> tuple[str, ...]:
        """As those of a ``Folder``."""
        return self._told(lambda folder: folder.class_names)

    def load(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """As a ``Folder`` does, but nothing that does not lie in it: a link that leads elsewhere is refused."""
        return self._told(lambda folder: folder.load(count, size, generator))

    def check_available(self, count: int, size: int) -> None:
        """As a ``Folder``."""
        self._told(lambda folder: folder.check_available(count, size))

    def _told(self, ask: Callable[[Folder], T]) -> T:
        """What the folder answers; errors call it by its name, not by its place."""
        root = find(self.folder)
        try:
            _check_inside(root)
            return ask(Folder(str(root), self.first))
        except LabError as error:
            raise LabError(str(error).replace(str(root), self.folder)) from None


def _check_inside(root: Path) -> None:
    """Raise ``LabError`` where a picture leads out of the folder, or is no ordinary file."""
    real = root.resolve()
    try:
        for path in _pictures(root):
            if not path.resolve().is_relative_to(real):
                raise LabError(f"{path} is a link that leads out of the folder; put the picture itself there.")
            check_regular(path.stat().st_mode, "a picture; take it out of the folder", str(path))
    except (OSError, RuntimeError):  # the latter for links in a circle
        raise LabError(f"folder: {root} cannot be read; check its permissions and links.") from None


def _pictures(root: Path) -> Iterator[Path]:
    """Whatever has a picture's name in the folder or its sub-folders."""
    found = list(islice(chain(root.glob("*"), root.glob("*/*")), MAX_FILES + 1))
    if len(found) > MAX_FILES:
        raise LabError(f"folder: {root} holds more than {MAX_FILES:,} files; lend a smaller one.")
    return (path for path in found if path.suffix.lower() in SUFFIXES)
