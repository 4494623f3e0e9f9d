"""Beginnings of sentences, followed place by place through the spans of the first block's two linear layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from lab.lazy import Tensor, no_grad, torch

from lab.attacks.base import RecoveredPart
from lab.attacks.closed_form.row_span import RowSpan, SpanDistances
from lab.federated.observation import Observation
from lab.modalities.text import pieces

if TYPE_CHECKING:
    from lab.federated.causal_transformer import CausalTransformer

POSITION_EMBEDDING = "features.embedding.places"
"""What each sentence adds to at once as it enters: its gradient is the mean of theirs."""
MAX_WORDS = 256
"""Words that are followed from one place to the next; noise might let more of them fit."""
CHUNK = 2048
"""Words behind beginnings that are looked at together: what memory is bounded by."""
MAX_LISTED = 8
"""Words of one place that are told."""
PREFIXES_PER_SENTENCE, MIN_PREFIXES = 3, 12
"""Beginnings that are followed for each sentence of the batch, and however small that is."""
MARGIN = 3.0
"""By how much more may speak against a beginning than against as many as there are sentences."""
WORDS_WITHOUT_FIT = 8
"""Words that a beginning is followed by where none fits: the gradient tells some directions too faintly to be seen."""
MAX_MISSED = 2
"""Places in a row where nothing fits, after which a sentence has ended."""


@dataclass(frozen=True)
class Prefix:
    """The first words of a sentence, and what speaks against them."""

    words: tuple[int, ...] = ()
    log_residual: float = 0.0
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

    def recovered_parts(self) -> Iterator[RecoveredPart]:
        """Of each place what fits, until no sentence goes on."""
        for place in range(self.count):
            fitting, log_residuals, part = self._check(place)
            if part is None:
                return
            self._follow(fitting, log_residuals)
            yield part

    @property
    def likeliest(self) -> list[tuple[int, ...]]:
        """All that may be a sentence, with least against it first."""
        return [each.words for each in sorted([*self.open, *self.ended], key=lambda each: (each.missed, each.log_residual))]

    @no_grad
    def _check(self, place: int) -> tuple[list[int], Tensor, RecoveredPart | None]:
        """The words in the span. Some may fit that are in no sentence: e_a + p_s - e_b - p_s + e_b + p_t = e_a + p_t.

        Where a sentence has a word that is seen too faintly, or moved under way, the nearest are taken.
        """
        spread = self.first.spread(self.block.entering(self.embedding.at(self.words, place)))
        fitting = int(spread.fits.sum())
        kept = min(fitting or (WORDS_WITHOUT_FIT * self.size if place < self.reached else 0), MAX_WORDS, len(self.words))
        nearest = torch.where(spread.fits, spread.distance, spread.distance + 1) if fitting else spread.relative_residual
        order = nearest.argsort()
        numbers = self.words[order[: kept + 1].to(self.words.device)].tolist()
        log_residuals = spread.relative_residual[order[:kept]].log().clamp_min(0)
        return numbers[:kept], log_residuals, _recovered_part(numbers, kept, spread.distance[order]) if kept else None

    def _follow(self, words: Sequence[int], log_residuals: Tensor) -> None:
        """Put each word behind each beginning; what nothing fits has ended, or fits too faintly to be seen."""
        found = list[Prefix]()
        spread = self._behind(words)
        totals = log_residuals + spread.relative_residual.log().clamp_min(0)
        for beginning, total, fitting in zip(self.open, totals, spread.fits, strict=True):
            fits = fitting.nonzero()[:, 0].tolist()
            if not fits and not beginning.missed and beginning.words:
                self.ended.append(beginning)
            missed = 0 if fits else beginning.missed + 1
            tried = fits or total.argsort()[:WORDS_WITHOUT_FIT].tolist()
            found += [
                Prefix((*beginning.words, words[number]), beginning.log_residual + float(total[number]), missed)
                for number in tried
            ]
        found.sort(key=lambda each: each.log_residual)
        most = found[: self.size][-1].log_residual + MARGIN
        likely = [each for each in found if each.missed <= MAX_MISSED and each.log_residual <= most]
        self.open = likely[: max(PREFIXES_PER_SENTENCE * self.size, MIN_PREFIXES)] or found[: self.size]

    @no_grad
    def _behind(self, words: Sequence[int]) -> SpanDistances:
        """How what attention makes of these words behind each beginning lies to its span."""
        begun = torch.tensor([beginning.words for beginning in self.open], dtype=torch.long)
        place = begun.shape[1]
        new = self.embedding.at(torch.tensor(words, dtype=torch.long), place)
        parts = (self.embedding.at(part, slice(place)) for part in begun.split(max(1, CHUNK // len(words))))
        return SpanDistances.joined([self.second.spread(self.block.continued(part, new)) for part in parts])


def _reached(observation: Observation) -> int:
    """The places that some sentence has a word at, as far as it is told: all others have no gradient. The first has one."""
    if POSITION_EMBEDDING not in observation.update:
        return 1
    return max(1, int(observation.mean_gradient(POSITION_EMBEDDING)[POSITION_EMBEDDING].any(1).sum()))


def _recovered_part(numbers: Sequence[int], kept: int, distances: Tensor) -> RecoveredPart:
    """The words that fit a place and the nearest that does not, nearest first, all in words for people."""
    spelt = [pieces.spelt(number) for number in numbers[: min(kept, MAX_LISTED)]]
    more = f" and {kept - MAX_LISTED} more" if kept > MAX_LISTED else ""
    other, off = (pieces.spelt(numbers[kept]), float(distances[kept])) if kept < len(numbers) else ("", float("inf"))
    return RecoveredPart(", ".join(spelt) + more, float(distances[kept - 1]), other, off)
