"""Beginnings of sentences, followed place by place through the spans of the first block's two linear layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from lab.lazy import Tensor, no_grad, torch

from lab.attacks.base import Reading
from lab.attacks.closed_form.row_span import RowSpan, SpanDistances
from lab.federated.observation import Observation
from lab.modalities.text import pieces

if TYPE_CHECKING:
    from lab.federated.causal_transformer import CausalTransformer

PLACES = "features.embedding.places"
"""What each sentence adds to at once as it enters: its gradient is the mean of theirs."""
MOST = 256
"""Words that are followed from one place to the next; noise might let more of them fit."""
PAIRS = 2048
"""Words behind beginnings that are looked at together: what memory is bounded by."""
SPELT = 8
"""Words of one place that are told."""
BESIDE, AT_LEAST = 3, 12
"""Beginnings that are followed for each sentence of the batch, and however small that is."""
MARGIN = 3.0
"""By how much more may speak against a beginning than against as many as there are sentences."""
TRIED = 8
"""Words that a beginning is followed by where none fits: the gradient tells some directions too faintly to be seen."""
MISSED = 2
"""Places in a row where nothing fits, after which a sentence has ended."""


@dataclass(frozen=True)
class Prefix:
    """The first words of a sentence, and what speaks against them."""

    words: tuple[int, ...] = ()
    strain: float = 0.0
    """The sum over the places of log(relative_residual), where that is above 0."""
    missed: int = 0
    """Places at the end where the words do not fit."""


class PrefixSearch:
    """Sentences as far as they are read."""

    def __init__(self, observation: Observation, first: RowSpan, second: RowSpan, words: Tensor | None) -> None:
        self.first, self.second, self.size = first, second, observation.batch_size
        body = cast("CausalTransformer", observation.network.features)
        self.embedding, self.block = body.embedding, body.first_block
        self.count, vocabulary = cast("tuple[int, int]", observation.input_shape)
        self.words = torch.arange(vocabulary) if words is None else words
        self.reached = _reached(observation)
        self.open = [Prefix()]
        self.ended: list[Prefix] = []

    def readings(self) -> Iterator[Reading]:
        """Of each place what fits, until no sentence goes on."""
        for place in range(self.count):
            fitting, strains, reading = self._check(place)
            if reading is None:
                return
            self._follow(fitting, strains)
            yield reading

    @property
    def likeliest(self) -> list[tuple[int, ...]]:
        """All that may be a sentence, with least against it first."""
        return [each.words for each in sorted([*self.open, *self.ended], key=lambda each: (each.missed, each.strain))]

    @no_grad
    def _check(self, place: int) -> tuple[list[int], Tensor, Reading | None]:
        """The words in the span. Some may fit that are in no sentence: e_a + p_s - e_b - p_s + e_b + p_t = e_a + p_t.

        Where a sentence has a word that is seen too faintly, or moved under way, the nearest are taken.
        """
        spread = self.first.spread(self.block.entering(self.embedding.at(self.words, place)))
        fitting = int(spread.fits.sum())
        kept = min(fitting or (TRIED * self.size if place < self.reached else 0), MOST, len(self.words))
        nearest = torch.where(spread.fits, spread.distance, spread.distance + 1) if fitting else spread.relative_residual
        order = nearest.argsort()
        numbers = self.words[order[: kept + 1].to(self.words.device)].tolist()
        strains = spread.relative_residual[order[:kept]].log().clamp_min(0)
        return numbers[:kept], strains, _reading(numbers, kept, spread.distance[order]) if kept else None

    def _follow(self, words: Sequence[int], strains: Tensor) -> None:
        """Put each word behind each beginning; what nothing fits has ended, or fits too faintly to be seen."""
        found = list[Prefix]()
        spread = self._behind(words)
        totals = strains + spread.relative_residual.log().clamp_min(0)
        for beginning, total, fitting in zip(self.open, totals, spread.fits, strict=True):
            fits = fitting.nonzero()[:, 0].tolist()
            if not fits and not beginning.missed and beginning.words:
                self.ended.append(beginning)
            missed = 0 if fits else beginning.missed + 1
            tried = fits or total.argsort()[:TRIED].tolist()
            found += [
                Prefix((*beginning.words, words[number]), beginning.strain + float(total[number]), missed) for number in tried
            ]
        found.sort(key=lambda each: each.strain)
        most = found[: self.size][-1].strain + MARGIN
        likely = [each for each in found if each.missed <= MISSED and each.strain <= most]
        self.open = likely[: max(BESIDE * self.size, AT_LEAST)] or found[: self.size]

    @no_grad
    def _behind(self, words: Sequence[int]) -> SpanDistances:
        """How what attention makes of these words behind each beginning lies to its span."""
        begun = torch.tensor([beginning.words for beginning in self.open], dtype=torch.long)
        place = begun.shape[1]
        new = self.embedding.at(torch.tensor(words, dtype=torch.long), place)
        parts = (self.embedding.at(part, slice(place)) for part in begun.split(max(1, PAIRS // len(words))))
        return SpanDistances.joined([self.second.spread(self.block.continued(part, new)) for part in parts])


def _reached(observation: Observation) -> int:
    """The places that some sentence has a word at, as far as it is told: all others have no gradient. The first has one."""
    if PLACES not in observation.update:
        return 1
    return max(1, int(observation.mean_gradient(PLACES)[PLACES].any(1).sum()))


def _reading(numbers: Sequence[int], kept: int, distances: Tensor) -> Reading:
    """The words that fit a place and the nearest that does not, nearest first, all in words for people."""
    spelt = [pieces.spelt(number) for number in numbers[: min(kept, SPELT)]]
    more = f" and {kept - SPELT} more" if kept > SPELT else ""
    other, off = (pieces.spelt(numbers[kept]), float(distances[kept])) if kept < len(numbers) else ("", float("inf"))
    return Reading(", ".join(spelt) + more, float(distances[kept - 1]), other, off)
