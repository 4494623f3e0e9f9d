"""Sentences of a book in the public domain, or of one's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import torch

from lab.client.batch import Batch
from lab.client.datasets.base import Dataset
from lab.errors import LabError
from lab.federated.tensors import Inputs, Shape
from lab.modalities.text import pieces, rows_of
from lab.modalities.text.scores import listed
from lab.options.fields import AtMost, Bounds, Help
from lab.randomness import stream

if TYPE_CHECKING:
    from lab.client.checkpoints.card import Recipe
    from lab.client.samples import Samples

KINDS = ("tells", "asks", "exclaims")
"""What a sentence does, by the mark at its end."""
MARKS = {"?": 1, "!": 2}

FILE = Path(__file__).parent / "texts" / "wonderland.json"

PLACES, MAX_PLACES = 20, 64
"""For word pieces: as many as there are where nobody says otherwise, and at most."""


@cache
def sentences() -> tuple[str, ...]:
    """The book's, in their order."""
    return tuple(json.loads(FILE.read_text(encoding="utf-8"))["sentences"])


@dataclass(frozen=True)
class Wonderland(Dataset):
    """Sentences of Alice's Adventures in Wonderland (Lewis Carroll, 1865; public domain), or sentences of your own."""

    modality: ClassVar[str] = "text"
    is_shipped: ClassVar[bool] = True
    is_trainable: ClassVar[bool] = True
    length: Annotated[int, Bounds(1, MAX_PLACES), Help("places for word pieces; longer sentences of the book are cut")] = PLACES
    own: Annotated[
        tuple[str, ...],
        AtMost(100, pieces.MAX_LETTERS),
        Help("your own sentences, before the book's; empty: the book's alone"),
    ] = ()

    def check(self) -> None:
        """Every sentence of one's own can be written, and fits."""
        for sentence in self.own:
            count = len(pieces.encode(sentence))
            if count > self.length:
                raise LabError(
                    f"wonderland: a sentence has {count} word pieces, more than its length of {self.length} places; give a "
                    f"shorter one, or a greater length (at most {MAX_PLACES})."
                )

    @property
    def class_names(self) -> tuple[str, ...]:
        """What a sentence does; all of it counts, even what is cut off."""
        return KINDS

    def input_shape(self, size: int) -> Shape:
        """Places and pieces."""
        return self.length, len(pieces.vocabulary())

    def check_available(self, count: int, size: int) -> None:
        """There are so many sentences, one's own and the book's."""
        there = len(_filling(self.length))
        if count > there:
            raise LabError(f"wonderland: there are {there} sentences, not {count}; give more or take a smaller batch.")

    def load(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """One's own sentences first, then random ones of the book, those that fill every place where there are some."""
        self.check_available(count, size)
        own = [pieces.encode(text) for text in self.own[:count]]
        drawn = _drawn(self.length, count - len(own), generator, without=own)
        kinds = [*map(kind, self.own[:count]), *(_kinds(self.length)[tuple(found)] for found in drawn)]
        return Batch(rows_of([*own, *drawn], self.length), torch.tensor(kinds, dtype=torch.long))

    def samples(self, recipe: Recipe) -> Samples:
        """The book's, whole."""
        from lab.client.training_sentences import TrainingSentences

        return TrainingSentences.read(self.name, _encoded(), [*map(kind, sentences())], self.length, recipe)

    def recipe(self) -> Recipe:
        """What suits a small book: longer, and it is known by heart."""
        from lab.client.checkpoints.card import Recipe, Rule

        return Recipe(
            epochs=5, batch_size=32, rule=Rule.ADAMW, learning_rate=3e-3, weight_decay=0.1, shift=0, flip=False, held_out=134
        )

    def decoys(self, inputs: Inputs, count: int, generator: torch.Generator) -> Inputs:
        """Random sentences of the book that are none of these, no longer than they are: the length alone tells nothing."""
        assert not isinstance(inputs, Mapping)
        own = listed(inputs)
        longest = max(len(sentence) for sentence in own)
        drawn = _drawn(longest, count, stream(int(torch.randint(2**31, (), generator=generator)), "decoys"), without=own)
        return rows_of(drawn, inputs.shape[1]).to(inputs)


def kind(sentence: str) -> int:
    """The number of what a sentence does, by its last mark."""
    return next((MARKS.get(sign, 0) for sign in reversed(pieces.typed(sentence)) if sign in ".?!"), 0)


def _drawn(places: int, count: int, generator: torch.Generator, without: Sequence[Sequence[int]]) -> list[list[int]]:
    every = [sentence for sentence in _filling(places) if sentence not in without]
    return [every[place] for place in torch.randperm(len(every), generator=generator)[:count].tolist()]


@cache
def _encoded() -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(pieces.encode(sentence)) for sentence in sentences())


@cache
def _kinds(places: int) -> dict[tuple[int, ...], int]:
    """What the whole sentence does, by the pieces of it that have a place; the book's first where some begin alike."""
    return {found[:places]: kind(text) for found, text in zip(reversed(_encoded()), reversed(sentences()), strict=True)}


@cache
def _filling(places: int) -> list[list[int]]:
    """Different beginnings of the book's sentences that fill so many places, the longest sentences where few do."""
    cut = dict.fromkeys(found[:places] for found in sorted(_encoded(), key=len, reverse=True))
    full = [list(found) for found in cut if len(found) == places]
    return full if len(full) > 200 else [list(found) for found in cut][:200]
