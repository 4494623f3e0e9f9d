"""Training sentences in memory, as the numbers of their word pieces."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from lab.client.checkpoints.card import Accuracy, Perplexity, Recipe
from lab.client.samples import Answers, Samples, checked_cut, full_batches, share_right
from lab.federated.networks.base import Network
from lab.modalities.text import one_hot, padded, pieces

HELD_OUT_WORDS = "last sentences, held out"


@dataclass(frozen=True, eq=False)
class TrainingSentences(Samples):
    """The sentences to train on, and those kept aside; the loss of a sentence is that of its next words."""

    numbers: Tensor
    """(sentences, places), with ``NONE`` behind a sentence's end."""
    held_out: Tensor
    labels: Tensor
    """What each does, for a network that learns that."""
    held_out_labels: Tensor
    classes: int = 2
    """The likelihood of what is written, and that of all else."""
    kinds: ClassVar[str] = "sentences"

    @classmethod
    def read(
        cls, name: str, sentences: Sequence[Sequence[int]], labels: Sequence[int], places: int, recipe: Recipe
    ) -> TrainingSentences:
        """Of numbers of pieces; longer ones go on in a sentence of their own. Raises ``LabError`` where they are too few."""
        cut = checked_cut(name, len(sentences), recipe, cls.kinds)
        (trained, own), (kept, others) = (
            _parted(sentences[part], labels[part], places) for part in (slice(cut), slice(cut, None))
        )
        return cls(trained, kept, own, others)

    def asked_by(self, network: Network) -> TrainingSentences:
        """Next words, or labels."""
        if network.own_classes:
            return self
        classes = 1 + int(torch.cat([self.labels, self.held_out_labels]).max())
        return LabelledSentences(self.numbers, self.held_out, self.labels, self.held_out_labels, classes)

    @property
    def shape(self) -> tuple[int, int]:
        """Places and pieces."""
        return self.numbers.shape[1], len(pieces.vocabulary())

    @property
    def count(self) -> int:
        """How many are trained on."""
        return len(self.numbers)

    def batches(self, recipe: Recipe, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """In random order."""
        targets = self._targets()
        for index in full_batches(self.count, recipe, generator):
            yield self.numbers[index], targets[index]

    def _targets(self) -> Tensor:
        return torch.zeros_like(self.labels)

    def inputs(self, raw: Tensor) -> Tensor:
        """One-hot rows."""
        return one_hot(raw, self.shape[1])

    def score(self, answers: Answers) -> float:
        """The geometric mean of the likelihood of a next piece: 1 over the perplexity."""
        losses, lengths = -answers(self.held_out)[:, 0], (self.held_out >= 0).sum(1)
        return math.exp(-float((losses * lengths).sum() / lengths.sum()))

    def told(self, score: float) -> str:
        """As perplexity."""
        return f"the held-out sentences have a perplexity of {1 / score:.1f}"

    def grades(self, answers: Answers) -> dict[str, Any]:
        """The perplexity of those kept aside."""
        return {"accuracy": (), "perplexity": (Perplexity(HELD_OUT_WORDS, len(self.held_out), 1 / self.score(answers)),)}


class LabelledSentences(TrainingSentences):
    """The same for a network that learns what a sentence does."""

    def _targets(self) -> Tensor:
        return self.labels

    def score(self, answers: Answers) -> float:
        """The share of those kept aside that is classified rightly."""
        return share_right(answers, self.held_out, self.held_out_labels)

    def told(self, score: float) -> str:
        """As a share."""
        return f"{100 * score:.1f} % of the held-out sentences are right"

    def grades(self, answers: Answers) -> dict[str, Any]:
        """The accuracy on those kept aside."""
        return {"accuracy": (Accuracy(HELD_OUT_WORDS, len(self.held_out), self.score(answers)),)}


def _parted(sentences: Sequence[Sequence[int]], labels: Sequence[int], places: int) -> tuple[Tensor, Tensor]:
    """Each in parts of so many pieces, all of which have its label."""
    parts = [
        ([*sentence[start : start + places]], label)
        for sentence, label in zip(sentences, labels, strict=True)
        for start in range(0, len(sentence), places)
    ]
    return padded([part for part, _ in parts], places), torch.tensor([label for _, label in parts], dtype=torch.long)
