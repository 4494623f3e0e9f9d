"""Training pictures in memory, shifted and mirrored at random as they are dealt out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from lab.client.checkpoints.card import Recipe
from lab.client.datasets.published import PublishedSet, Split
from lab.errors import LabError


@dataclass(frozen=True, eq=False)
class TrainingPictures:
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

    @classmethod
    def read(cls, data: PublishedSet, recipe: Recipe) -> TrainingPictures:
        """All pictures of a data set. Raises ``LabError`` where they cannot be had or are too few."""
        pixels, labels = data.everything(Split.TRAIN)
        test, test_labels = data.everything(Split.TEST)
        cut = len(pixels) - recipe.held_out
        if cut < recipe.batch_size:
            raise LabError(
                f"{data.name} in {data.folder} has {len(pixels)} training pictures, too few to hold out {recipe.held_out} and "
                f"fill a batch of {recipe.batch_size}; give more pictures, or a smaller held_out or batch_size."
            )
        padded = pad(pixels[:cut], [recipe.shift] * 4)
        return cls(padded, labels[:cut], pixels[cut:], labels[cut:], test, test_labels, len(data.class_names))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one picture."""
        _, channels, height, width = self.held_out.shape
        return channels, height, width

    def batches(self, recipe: Recipe, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of full batches in random order; what is left over at its end is dropped."""
        height, width = self.shape[1:]
        windows = self.padded.unfold(2, height, 1).unfold(3, width, 1)
        order = torch.randperm(len(self.labels), generator=generator)
        for index in order[: len(order) // recipe.batch_size * recipe.batch_size].split(recipe.batch_size):
            rows, columns = torch.randint(windows.shape[2], (2, len(index)), generator=generator)
            images = windows[index, :, rows, columns]
            mirrored = torch.rand(len(index), generator=generator, dtype=torch.float32) < (0.5 if recipe.flip else 0.0)
            images[mirrored] = images[mirrored].flip(-1)
            yield images, self.labels[index]
