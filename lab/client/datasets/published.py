"""What CIFAR-10, CIFAR-100, MNIST and Fashion-MNIST share: a folder on disk, two splits, a first picture."""

from __future__ import annotations

import os
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import Tensor, torch

from lab.client.batch import Batch
from lab.client.datasets.base import Dataset
from lab.client.datasets.split import Split
from lab.errors import LabError
from lab.federated.tensors import Suspects
from lab.files import data_folder
from lab.files.downloads import fetched, missing
from lab.modalities.images.codec import resized
from lab.options.fields import Bounds, Help

if TYPE_CHECKING:
    from lab.client.checkpoints.card import Recipe
    from lab.client.samples import Samples


@dataclass(frozen=True)
class PublishedSet(Dataset):
    """A data set that torchvision can download, where that is asked for (``fetch``)."""

    first: Annotated[int, Bounds(0, 69_999), Help("number of the first private picture; the batch takes those after it")] = 0
    split: Annotated[Split, Help("pictures meant for training or for testing")] = Split.TEST
    root: Annotated[str, Help("folder of the files; empty takes $GRADLAB_DATA, or ~/.cache/gradlab")] = ""

    @property
    def folder(self) -> Path:
        """Where the files lie, or are downloaded to: in a folder of several sets, that called after this one."""
        root = Path(self.root or data_folder.current() or "~/.cache/gradlab").expanduser()
        own = (root / self.name, root / f"{self.name}_test")
        return next((folder for folder in own if os.path.isdir(folder) and not os.path.isdir(folder / "raw")), root)

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """The set's own names, in the order of their numbers."""

    is_trainable: ClassVar[bool] = True
    megabytes: ClassVar[float]
    """What a download of the set weighs."""
    is_download: ClassVar[bool] = True
    """Whether ``fetch`` may download it, and it does not come in a package instead."""

    @abstractmethod
    def available(self) -> bool:
        """Whether pictures of the set lie in the folder."""

    def samples(self, recipe: Recipe) -> Samples:
        """All pictures, moved and mirrored as the recipe says."""
        from lab.client.augmentation import TrainingPictures

        return TrainingPictures.read(self.name, self, recipe)

    def fetch(self) -> None:
        """Download the set into the folder by torchvision, unless it is there. Raises ``LabError`` where that fails."""
        if not self.available():
            fetched(self._download, type(self).__name__, self.folder)

    def _download(self) -> None:
        from torchvision import datasets  # imported here: it costs half a second that most runs need not pay

        getattr(datasets, type(self).__name__)(str(self.folder), download=True)

    def check_available(self, count: int, size: int) -> None:
        """The set lies in the folder."""
        if not self.available():
            raise self.missing()

    def missing(self) -> LabError:
        """The error where the set does not lie in the folder: nothing is downloaded unasked."""
        place = f"{self.name} --data {self.root}" if self.root else self.name
        otherwise = "name a folder that holds its files by root or $GRADLAB_DATA"
        return missing(f"The data set {type(self).__name__} is", place, self.megabytes, otherwise)

    @abstractmethod
    def length(self, split: Split) -> int:
        """How many pictures of a split are at hand. Raises ``LabError`` where there are none."""

    @abstractmethod
    def pixels(self, split: Split, first: int, count: int) -> tuple[Tensor, Tensor]:
        """Pictures as uint8 (count, channels, side, side) in native size, and their labels (count,)."""

    def load(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """``count`` pictures from ``first`` on; those of another size are resized smoothly (``codec.resized``)."""
        length = self.length(self.split)
        if self.first + count > length:
            raise LabError(
                f"{self.name}: the {self.split.value} pictures at hand end at number {length - 1}, so {count} from number "
                f"{self.first} on cannot be had; take a smaller first or batch."
            )
        images, labels = self.pixels(self.split, self.first, count)
        return Batch(resized(images.float() / 255, size), labels)

    def others(self, batch_size: int, count: int, size: int, generator: torch.Generator) -> Suspects | None:
        """A run of pictures of the same split that starts at random outside the batch; None where too few are left."""
        before = range(self.first - count + 1)
        after = range(self.first + batch_size, self.length(self.split) - count + 1)
        starts = [*before, *after]
        if not starts:
            return None
        start = starts[int(torch.randint(len(starts), (), generator=generator))]
        images, _ = self.pixels(self.split, start, count)
        return resized(images.float() / 255, size)

    def everything(self, split: Split) -> tuple[Tensor, Tensor]:
        """All pictures of a split, uint8, and their labels: what training reads."""
        return self.pixels(split, 0, self.length(split))
