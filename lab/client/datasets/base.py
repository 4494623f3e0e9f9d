"""What a data set is: the private inputs that a client may train on."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from lab.lazy import torch

from lab.client.batch import Batch
from lab.errors import LabError
from lab.federated.tensors import IMAGES, Inputs, Shape
from lab.options.catalogue import Entry

if TYPE_CHECKING:
    from lab.client.checkpoints.card import Recipe
    from lab.client.samples import Samples

MAX_CLASSES = 22_000
"""ImageNet has 21,841. The last layer grows with the classes: without a limit, a file could ask for all memory."""

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Dataset(Entry):
    """Base of all data sets."""

    kind: ClassVar[str] = "dataset"
    modality: ClassVar[str] = IMAGES
    """What its inputs are: an entry of ``lab/modalities``."""
    is_shipped: ClassVar[bool] = False
    """Whether all of it comes with the lab, so that a page may show it to anybody."""
    channels: ClassVar[int] = 3
    """Of each picture; at most so many where the pictures decide."""

    is_trainable: ClassVar[bool] = False
    """Whether it has ``samples`` to train on."""

    def samples(self, recipe: Recipe) -> Samples:
        """All of the set, to train on and to measure on. Raises ``LabError`` where it cannot be had or is too small."""
        raise LabError(f"The data set {self.name} has no training part; take another one.")

    def recipe(self) -> Recipe:
        """How to train on it what nobody has trained yet."""
        from lab.client.checkpoints.card import Recipe

        return Recipe()

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes in the order of their numbers; CIFAR-10's where a set has none of its own."""
        return CIFAR10_CLASSES

    def input_shape(self, size: int) -> Shape:
        """Of one input, (channels, height, width) of a picture; told before anything is loaded."""
        return self.channels, size, size

    @abstractmethod
    def load(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """``count`` pictures of ``size`` x ``size`` pixels in [0, 1] with their labels.

        Raises ``LabError`` where the set cannot be read or holds fewer pictures.
        """

    def check_available(self, count: int, size: int) -> None:
        """Raise ``LabError`` where it is clear before anything is computed that ``load`` will refuse: a file is not there."""

    def others(self, batch_size: int, count: int, size: int, generator: torch.Generator) -> Inputs | None:
        """``count`` further inputs of the set for a line-up with a batch of ``batch_size``; None where it has none.

        A line-up is fair only among inputs of one kind: a digit is easily told from seven photographs.
        """
        return None

    def decoys(self, inputs: Inputs, count: int, generator: torch.Generator) -> Inputs:
        """``count`` of the set's own that are none of these inputs; asked of a modality's shipped set, where no other has any.

        Raises ``LabError`` for a set that gives none.
        """
        raise LabError(f"The data set {self.name} has no decoys for a line-up; take another data set.")
