"""Words that fit the span of a gradient: a sentence read off place by place, without any search by descent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, cast

from lab.late import Float, Int, Tensor, no_grad, torch

from lab.attacks.base import Attack, AttackState, Outcome, Reading, unknown
from lab.attacks.closed_form.mismatch import EXACT, fit
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.closed_form.row_span import RowSpan
from lab.federated.observation import Observation
from lab.modalities.text import pieces
from lab.options.fields import Help
from lab.options.words import percent

if TYPE_CHECKING:
    from lab.federated.causal_transformer import CausalTransformer

FIRST, SECOND = (f"features.blocks.{number}.in_proj.weight" for number in range(2))
WORDS = "features.embedding.words"
MOST = 256
"""Words that are followed from one place to the next; noise might let more of them fit."""
SPELT = 8
"""Words of one place that are told."""


class SpanOutcome(Outcome):
    """How a sentence was read."""

    READ = (
        "Read off exactly: at each place one word lies in the span of the shared gradient, and the sentences send all that "
        "was shared."
    )
    FITS = (
        "Words lie in the span of the shared gradient, but their own update is not the one that was sent: it carries noise, or "
        "comes of several steps, or not every sentence was found."
    )
    FULL = (
        "The gradient's rank reaches the network's width: words of the batch fill the whole space, so every word fits and none "
        "stands out."
    )
    NO_WORDS = "This network has no words and no attention whose gradient spans them, so there is no list to check."


@dataclass(frozen=True)
class Span(Attack):
    """Check every word at every place against the span of the first block's gradient (DAGER: Petrov et al., NeurIPS 2024).

    Which words of a batch are one sentence is told by the second block, whose inputs depend on all that stands before.
    """

    modality: ClassVar[str] = "text"
    moved_only: Annotated[
        bool, Help("try only words whose row of the embedding moved: the simplest leak, where it is sent")
    ] = False

    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """A state for each place, then the verdict."""
        state = AttackState(1, 1, unknown(observation), float("nan"))
        found = spans(observation)
        if isinstance(found, Outcome):
            yield replace(state, outcome=found)
            return
        moved = _moved(observation)
        told = _told(observation, moved, found[0])
        if found[0].rank >= found[0].width - 1:
            yield replace(state, outcome=SpanOutcome.FULL, note=told)
            return
        sentences = _Sentences(observation, *found, moved if self.moved_only else None)
        for state in sentences.states():
            yield state
        yield _verdict(observation, state, told)


def spans(observation: Observation) -> tuple[RowSpan, RowSpan] | Outcome:
    """Of what entered the first and the second block, or why there are none."""
    from lab.federated.causal_transformer import CausalTransformer

    if not isinstance(observation.network.features, CausalTransformer):
        return SpanOutcome.NO_WORDS
    if not {FIRST, SECOND} <= observation.update.keys():
        return ClosedFormOutcome.NOT_SENT
    gradients = observation.mean_gradient(FIRST, SECOND)
    if not (gradients[FIRST].any() and gradients[SECOND].any()):
        return ClosedFormOutcome.DEAD_UNITS
    return RowSpan.of(gradients[FIRST]), RowSpan.of(gradients[SECOND])


def _moved(observation: Observation) -> Int[Tensor, " words"] | None:
    """The words whose row of the embedding has a gradient; None where it was not sent, or all have one."""
    if WORDS not in observation.update:
        return None
    rows = observation.mean_gradient(WORDS)[WORDS].abs().amax(1) > 0
    return None if bool(rows.all()) or not bool(rows.any()) else rows.nonzero()[:, 0].cpu()


def _told(observation: Observation, moved: Tensor | None, span: RowSpan) -> str:
    rows = "Rows of the embedding tell no words" if moved is None else f"{len(moved)} rows of the embedding moved"
    return f"{rows}; rank {span.rank} of width {span.width}."


class _Sentences:
    """Sentences as far as they are read."""

    def __init__(self, observation: Observation, first: RowSpan, second: RowSpan, words: Tensor | None) -> None:
        self.observation, self.first, self.second = observation, first, second
        self.body = cast("CausalTransformer", observation.network.features)
        self.count, self.size = cast("tuple[int, int]", observation.input_shape)
        self.words = torch.arange(self.size) if words is None else words
        self.open: list[list[int]] = [[]]
        self.ended: list[list[int]] = []
        self.readings: list[Reading] = []
        self.cut: float | None = None

    def states(self) -> Iterator[AttackState]:
        """One for each place, until no sentence goes on."""
        for place in range(self.count):
            fitting = self._check(place)
            if not fitting:
                return
            self._go_on(fitting)
            yield self._state()

    @no_grad
    def _check(self, place: int) -> list[int]:
        """The words in the span. Some may fit that are in no sentence: e_a + p_s - e_b - p_s + e_b + p_t = e_a + p_t."""
        distances = self.first.distance(self.body.entering(0, self.body.embedding.at(self.words, place)))
        distances, order = distances.sort()
        self.cut = self.first.cut(float(distances[0])) if self.cut is None else self.cut
        kept = min(int((distances < self.cut).sum()), 1 if self.observation.batch_size == 1 else MOST)
        numbers = self.words[order[: kept + 1].to(self.words.device)].tolist()
        if kept:
            self.readings.append(_reading(numbers, kept, distances))
        return numbers[:kept]

    def _go_on(self, words: Sequence[int]) -> None:
        """Follow each beginning by the words that fit it; what nothing fits has ended."""
        if self.observation.batch_size == 1:
            self.open = [[*self.open[0], *words]]
            return
        distances = torch.stack([self._second_distances(beginning, words) for beginning in self.open])
        cut = self.second.cut(float(distances.min()))
        pairs = sorted((float(distances[b, w]), b, w) for b, w in (distances < cut).nonzero().tolist())
        pairs = pairs[: self.observation.batch_size]
        followed = {beginning for _, beginning, _ in pairs}
        self.ended += [text for number, text in enumerate(self.open) if number not in followed and text]
        self.open = [[*self.open[beginning], words[word]] for _, beginning, word in pairs]

    @no_grad
    def _second_distances(self, beginning: Sequence[int], words: Sequence[int]) -> Float[Tensor, " words"]:
        """How far what enters the second block outside its span lies, where these words follow a beginning."""
        place, embedded = len(beginning), self.body.embedding.at
        before = embedded(torch.tensor(beginning, dtype=torch.long), slice(place))
        follows = self.body.first_block.continued(before, embedded(torch.tensor(words, dtype=torch.long), place))
        return self.second.distance(self.body.entering(1, follows))

    def _state(self) -> AttackState:
        """The sentences so far; empty where fewer were found than there are."""
        size, newest = self.observation.batch_size, self.readings[-1]
        texts = [*self.open, *self.ended][:size]
        candidate = torch.zeros(size, self.count, self.size, dtype=torch.float32).to(self.body.embedding.words)
        for row, text in zip(candidate, texts, strict=False):
            row[torch.arange(len(text)), torch.tensor(text, dtype=torch.long)] = 1
        terms = {"right": newest.off, "wrong": newest.other_off}
        return AttackState(len(self.readings), self.count, candidate, newest.off, terms, readings=tuple(self.readings))


def _reading(numbers: Sequence[int], kept: int, distances: Tensor) -> Reading:
    """The words that fit a place and the nearest that does not, nearest first, all in words for people."""
    spelt = [pieces.spelt(number) for number in numbers[: min(kept, SPELT)]]
    more = f" and {kept - SPELT} more" if kept > SPELT else ""
    other, off = (pieces.spelt(numbers[kept]), float(distances[kept])) if kept < len(numbers) else ("", math.inf)
    return Reading(", ".join(spelt) + more, float(distances[kept - 1]), other, off)


def _verdict(observation: Observation, state: AttackState, told: str) -> AttackState:
    labels = torch.zeros(observation.batch_size, dtype=torch.long, device=observation.device)
    left = fit(observation, state.candidate, labels).residual
    farthest, nearest = max(each.off for each in state.readings), min(each.other_off for each in state.readings)
    note = (
        f"{told} The farthest word that fits is {farthest:.1e} outside the span, the nearest other {nearest:.2g}; "
        f"the sentences' own update is {percent(left)} off."
    )
    return replace(state, outcome=SpanOutcome.READ if left <= EXACT else SpanOutcome.FITS, note=note)
