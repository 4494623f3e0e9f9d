"""Pictures from NumPy's ``.npz`` files, with the arrays ``images`` and ``labels``."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from lab.datasets.base import CIFAR10_CLASSES, Dataset
from lab.errors import LabError
from lab.options import Bounds, Help
from lab.pictures import central_square, resized
from lab.types import Batch

MOST_BYTES = 2**30
"""The arrays may be this large when unpacked."""


@dataclass(frozen=True)
class Npz(Dataset):
    """An .npz file with the arrays images and labels."""

    path: Annotated[str, Help("the .npz file")] = ""
    first: Annotated[int, Bounds(0, 10**7), Help("number of the first private picture, from 0")] = 0

    @property
    def class_names(self) -> tuple[str, ...]:
        """CIFAR-10's names while the labels fit them, else numbers."""
        highest = int(self._labels().max())
        return CIFAR10_CLASSES if highest < len(CIFAR10_CLASSES) else tuple(f"class {n}" for n in range(highest + 1))

    def load(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """``count`` pictures from ``first`` on: central squares, scaled smoothly."""
        images, labels = self._array("images"), self._labels()
        if len(images) != len(labels):
            raise LabError(f"npz: {self.path} has {len(images)} images and {len(labels)} labels; give one label for each.")
        if self.first + count > len(images):
            raise LabError(
                f"npz: {self.path} holds {len(images)} pictures, so {count} from number {self.first} on cannot be had; "
                "take a smaller first or batch."
            )
        part = slice(self.first, self.first + count)
        return Batch(resized(central_square(self._pixels(images[part], images.shape)), size), labels[part])

    def _labels(self) -> Tensor:
        labels = self._array("labels")
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or not labels.size or labels.min() < 0:
            raise LabError(f"npz: the labels in {self.path} must be whole numbers from 0 on, one for each picture.")
        return torch.from_numpy(labels.astype(np.int64))

    def _pixels(self, images: np.ndarray, shape: tuple[int, ...]) -> Tensor:
        """Floats of shape (count, channels, height, width) in [0, 1]. ``shape`` is that of the whole array."""
        channels_last = images[..., None] if images.ndim == 3 else images
        if channels_last.ndim == 4 and channels_last.shape[-1] not in (1, 3):
            channels_last = channels_last.transpose(0, 2, 3, 1)
        if channels_last.ndim != 4 or channels_last.shape[-1] not in (1, 3):
            raise LabError(
                f"npz: the images in {self.path} have the shape {shape}; give (n, h, w), (n, h, w, 3) or (n, 3, h, w)."
            )
        pixels = channels_last.astype(np.float32) / (255 if images.dtype == np.uint8 else 1)
        if images.dtype != np.uint8 and (images.dtype.kind != "f" or not (pixels.min() >= 0 and pixels.max() <= 1)):
            raise LabError(f"npz: the images in {self.path} must be uint8 from 0 to 255, or floats from 0 to 1.")
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()

    def _array(self, name: str) -> np.ndarray:
        """One array of the file, its declared size checked before it is unpacked; pickles are never opened."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                if archive.getinfo(f"{name}.npy").file_size > MOST_BYTES:
                    raise LabError(f"npz: {name} in {self.path} takes more than 1 GiB; save fewer pictures.")
                with archive.open(f"{name}.npy") as file:
                    return np.lib.format.read_array(file, allow_pickle=False)
        except FileNotFoundError:
            raise LabError(f"npz: there is no file {self.path!r}; give the path of an .npz file.") from None
        except KeyError:
            raise LabError(
                f"npz: {self.path} holds no array {name!r}; save it by numpy.savez(path, images=..., labels=...)."
            ) from None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
            raise LabError(
                f"npz: {self.path} is no readable .npz file; save it by numpy.savez without objects in it."
            ) from None
