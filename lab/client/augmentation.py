"""Training pictures in memory, shifted and mirrored at random as they are dealt out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import pad

from lab.client.checkpoints.card import Accuracy, Recipe
from lab.client.datasets.split import Split
from lab.client.samples import Answers, Samples, checked_cut, full_batches, share_right


@runtime_checkable
class Published(Protocol):
    """What a data set on disk has."""

    @property
    def folder(self) -> Path:
        """Where it lies."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of their numbers."""
        ...

    def everything(self, split: Split) -> tuple[Tensor, Tensor]:
        """All pictures of a split as uint8, and their labels."""
        ...


@dataclass(frozen=True, eq=False)
class TrainingPictures(Samples):
    """The pictures to train on, those kept aside and those to test on, as uint8."""

    padded: Tensor
    """(pictures, channels, height + 2 shift, width + 2 shift), black around."""
    labels: Tensor
    held_out: Tensor
    """(pictures, channels, height, width): the last ones, never trained on."""
    held_out_labels: Tensor
    test: Tensor
    """All official test pictures at hand."""
    test_labels: Tensor
    classes: int
    kinds: ClassVar[str] = "pictures"

    @classmethod
    def read(cls, name: str, data: Published, recipe: Recipe) -> TrainingPictures:
        """All pictures of a data set. Raises ``LabError`` where they cannot be had or are too few."""
        pixels, labels = data.everything(Split.TRAIN)
        test, test_labels = data.everything(Split.TEST)
        cut = checked_cut(f"{name} in {data.folder}", len(pixels), recipe, cls.kinds)
        padded = pad(pixels[:cut], [recipe.shift] * 4)
        return cls(padded, labels[:cut], pixels[cut:], labels[cut:], test, test_labels, len(data.class_names))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one picture."""
        _, channels, height, width = self.held_out.shape
        return channels, height, width

    @property
    def count(self) -> int:
        """How many are trained on."""
        return len(self.labels)

    def inputs(self, raw: Tensor) -> Tensor:
        """Pixels in [0, 1]."""
        return (raw.float() / 255).contiguous(memory_format=torch.channels_last)

    def score(self, answers: Answers) -> float:
        """The share of those kept aside that is classified rightly."""
        return share_right(answers, self.held_out, self.held_out_labels)

    def told(self, score: float) -> str:
        """As a share."""
        return f"{100 * score:.1f} % of the held-out pictures are right"

    def grades(self, answers: Answers) -> dict[str, Any]:
        """The accuracy on the held-out and on all test pictures at hand."""
        measured = (
            ("first official test pictures", self.test, self.test_labels),
            ("last official training pictures, held out", self.held_out, self.held_out_labels),
        )
        return {"accuracy": tuple(Accuracy(of, len(labels), share_right(answers, raw, labels)) for of, raw, labels in measured)}

    def batches(self, recipe: Recipe, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch, each picture moved and mirrored by chance."""
        height, width = self.shape[1:]
        windows = self.padded.unfold(2, height, 1).unfold(3, width, 1)
        for index in full_batches(len(self.labels), recipe, generator):
            rows, columns = torch.randint(windows.shape[2], (2, len(index)), generator=generator)
            images = windows[index, :, rows, columns]
            mirrored = torch.rand(len(index), generator=generator, dtype=torch.float32) < (0.5 if recipe.flip else 0.0)
            images[mirrored] = images[mirrored].flip(-1)
            yield images, self.labels[index]
