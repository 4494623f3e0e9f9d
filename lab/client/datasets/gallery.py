"""The gallery that ships with the lab: openly licensed photographs (credits beside them)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, ClassVar

from PIL import Image

from lab.lazy import np, torch

from lab.client.batch import Batch
from lab.client.datasets.base import Dataset
from lab.errors import LabError, spoken
from lab.federated.tensors import Images, Inputs, Suspects
from lab.modalities.images.codec import in_channels, resized
from lab.options.fields import AtMost, Choices, Help

FOLDER = Path(__file__).parent / "pictures"
SIZES = (32, 64, 224)


@cache
def credits() -> dict[str, dict[str, str | int]]:
    """Title, author, licence, source, alt text and label of each picture, by name."""
    listing = json.loads((FOLDER / "credits.json").read_text(encoding="utf-8"))
    return {entry["name"]: entry for entry in listing}


NAMES = tuple(credits())


@dataclass(frozen=True)
class Gallery(Dataset):
    """Openly licensed photographs of faces, animals and things, drawn at 32, 64 and 224 pixels and scaled to any size."""

    is_shipped: ClassVar[bool] = True
    first: Annotated[str, Choices(NAMES), Help("the first private picture; a larger batch takes those after it")] = NAMES[0]

    labels: Annotated[
        tuple[int, ...], AtMost(100), Help("class numbers dealt out in turn; empty takes the nearest CIFAR-10 classes")
    ] = ()

    def check(self) -> None:
        """Labels are class numbers."""
        for label in self.labels:
            if not 0 <= label < len(self.class_names):
                raise LabError(
                    f"gallery: the label {spoken(label)} is out of range; give numbers from 0 to {len(self.class_names) - 1}."
                )

    def load(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """``count`` pictures from ``first`` on, going round; the labels are those given, else the nearest CIFAR-10 classes."""
        self.check_available(count, size)
        start = NAMES.index(self.first)
        names = [NAMES[(start + step) % len(NAMES)] for step in range(count)]
        own = self.labels or [int(credits()[name]["cifar10_label"]) for name in names]
        labels = [own[place % len(own)] for place in range(count)]
        return Batch(torch.stack([picture(name, size) for name in names]), torch.tensor(labels, dtype=torch.long))

    def check_available(self, count: int, size: int) -> None:
        """So many pictures ship with the lab."""
        if count > len(NAMES):
            raise LabError(f"The gallery holds {len(NAMES)} pictures, not {count}; take a smaller batch or another data set.")

    def decoys(self, inputs: Inputs, count: int, generator: torch.Generator) -> Suspects:
        """Random pictures of the gallery, in the size and the channels of these."""
        assert not isinstance(inputs, Mapping)
        return decoys(inputs, count, generator)


@cache
def picture(name: str, size: int) -> torch.Tensor:
    """One picture of the gallery, shape (3, size, size), pixels in [0, 1]; of other sizes than ``SIZES`` scaled smoothly."""
    if size not in SIZES:
        return resized(picture(name, max(SIZES))[None], size)[0]
    suffix = "jpg" if size == 224 else "png"
    with Image.open(FOLDER / str(size) / f"{name}.{suffix}") as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255


def decoys(images: Images, count: int, generator: torch.Generator) -> Suspects:
    """``count`` random gallery pictures that are none of ``images``, in their size and number of channels.

    Where the batch takes up nearly the whole gallery, mirrored pictures make up the number.
    """
    order = [NAMES[index] for index in torch.randperm(len(NAMES), generator=generator).tolist()]
    size = min(SIZES, key=lambda size: abs(size - images.shape[-1]))
    plain = [_like(picture(name, size), images) for name in order]
    others = chain(plain, (other.flip(-1) for other in plain))
    different = (other for other in others if (images - other.to(images)).abs().amax((1, 2, 3)).min() > 0.02)
    return torch.stack(list(islice(different, count)))


def _like(other: torch.Tensor, images: Images) -> torch.Tensor:
    """A picture with as many channels and pixels as the batch."""
    alike = in_channels(other, images.shape[1])
    size = images.shape[-2:]
    return alike if alike.shape[-2:] == size else torch.nn.functional.interpolate(alike[None], size, mode="area")[0]
