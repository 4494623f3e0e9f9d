"""Training sentences in memory, as the numbers of their word pieces."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from lab.client.checkpoints.card import Perplexity, Recipe
from lab.client.samples import Answers, Samples, checked_cut
from lab.modalities.text import one_hot, padded, pieces


@dataclass(frozen=True, eq=False)
class TrainingSentences(Samples):
    """The sentences to train on, and those kept aside; the loss of a sentence is that of its next words."""

    numbers: Tensor
    """(sentences, places), with ``NONE`` behind a sentence's end."""
    held_out: Tensor
    classes: int = 2
    """The likelihood of what is written, and that of all else."""
    kinds: ClassVar[str] = "sentences"

    @classmethod
    def read(cls, name: str, sentences: Sequence[Sequence[int]], places: int, recipe: Recipe) -> TrainingSentences:
        """Of numbers of pieces; longer ones go on in a sentence of their own. Raises ``LabError`` where they are too few."""
        cut = checked_cut(name, len(sentences), recipe, cls.kinds)
        trained, kept = (padded(_parts(part, places), places) for part in (sentences[:cut], sentences[cut:]))
        return cls(trained, kept)

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
        order = torch.randperm(self.count, generator=generator)
        for index in order[: len(order) // recipe.batch_size * recipe.batch_size].split(recipe.batch_size):
            yield self.numbers[index], torch.zeros(len(index), dtype=torch.long)

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
        told = Perplexity("last sentences, held out", len(self.held_out), 1 / self.score(answers))
        return {"accuracy": (), "perplexity": (told,)}


def _parts(sentences: Sequence[Sequence[int]], places: int) -> list[list[int]]:
    return [[*sentence[start : start + places]] for sentence in sentences for start in range(0, len(sentence), places)]
