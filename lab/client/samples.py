"""What a training learns from: batches in random order, and others, kept aside, to measure on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor

from lab.client.checkpoints.card import Recipe
from lab.errors import LabError
from lab.federated.networks.base import Network
from lab.federated.tensors import Inputs, Shape

Answers = Callable[[Tensor], Tensor]
"""From raw samples to the network's logits, in the mode of evaluation."""


class Samples(ABC):
    """All of one data set, as compact as it is kept: ``inputs`` makes of it what a network eats."""

    classes: int
    kinds: ClassVar[str]
    """What a reader calls them."""

    def asked_by(self, network: Network) -> Samples:
        """The same with the targets that the network learns."""
        return self

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """Of one input."""

    @property
    def told_shape(self) -> tuple[int, ...]:
        """The same for a card."""
        assert isinstance(self.shape, tuple)
        return self.shape

    @property
    @abstractmethod
    def count(self) -> int:
        """Of those to train on."""

    @abstractmethod
    def batches(self, recipe: Recipe, generator: Any) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of full batches in random order, with their labels; what is left over at its end is dropped."""

    @abstractmethod
    def inputs(self, raw: Tensor) -> Inputs:
        """Raw samples as inputs, on the same device."""

    @abstractmethod
    def score(self, answers: Answers) -> float:
        """How well those kept aside are answered, at most 1."""

    @abstractmethod
    def told(self, score: float) -> str:
        """A score in words."""

    @abstractmethod
    def grades(self, answers: Answers) -> dict[str, Any]:
        """The fields of a card that tell what was measured."""


def full_batches(count: int, recipe: Recipe, generator: torch.Generator) -> tuple[Tensor, ...]:
    """The numbers of samples in random order, in full batches; what is left over at the end is dropped."""
    order = torch.randperm(count, generator=generator)
    return order[: count // recipe.batch_size * recipe.batch_size].split(recipe.batch_size)


def share_right(answers: Answers, raw: Tensor, labels: Tensor) -> float:
    """The share of samples that is classified rightly."""
    return int((answers(raw).argmax(1) == labels).sum()) / len(labels)


def checked_cut(name: str, there: int, recipe: Recipe, kinds: str) -> int:
    """Where those kept aside begin. Raises ``LabError`` where too few are left to fill a batch."""
    cut = there - recipe.held_out
    if cut < recipe.batch_size:
        raise LabError(
            f"{name} has {there} training {kinds}, too few to hold out {recipe.held_out} and "
            f"fill a batch of {recipe.batch_size}; give more {kinds}, or a smaller held_out or batch_size."
        )
    return cut
