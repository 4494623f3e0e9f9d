"""Words that fit the span of a gradient: a sentence read off place by place, without any search by descent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, cast

from lab.lazy import Int, Tensor, torch

from lab.attacks.base import Attack, AttackState, Outcome, RecoveredPart, uninformed
from lab.attacks.closed_form.mismatch import EXACT_MISMATCH, RESCALED_SHARE, fit
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.closed_form.row_span import RowSpan
from lab.attacks.text.prefixes import PrefixSearch
from lab.attacks.text.sentence_counts import Sentence, learns_labels, select_sentences
from lab.federated.observation import Observation
from lab.modalities.text import one_hot, padded
from lab.options.fields import Help
from lab.options.words import percent, rounded

ATTENTION_WEIGHT, FEED_FORWARD_WEIGHT = (f"features.blocks.0.{layer}.weight" for layer in ("in_proj", "mlp.0"))
WORD_EMBEDDING = "features.embedding.words"


MAX_TRIED = 256
"""Sentences that are held against the shared gradient."""


class SpanOutcome(Outcome):
    """How a sentence was read."""

    READ = (
        "Read off exactly: at each place one word lies in the span of the shared gradient, and the sentences send all that "
        "was shared."
    )
    FITS = (
        "Words lie in the span of the shared gradient, but their own update is not the one that was sent: it carries noise, or "
        "not every word is right."
    )
    FULL = (
        "The gradient's rank reaches the network's width: words of the batch fill the whole space, so every word fits and none "
        "stands out."
    )
    NO_WORDS = "This network has no words and no attention whose gradient spans them, so there is no list to check."


@dataclass(frozen=True)
class Span(Attack):
    """Check every word at every place against the span of the first block's gradient (DAGER: Petrov et al., NeurIPS 2024).

    Which words of a batch are one sentence is told by the block's fully connected layer, which attention makes depend on all
    that stands before; how often each is there by a sum of their own gradients.
    """

    modality: ClassVar[str] = "text"
    moved_only: Annotated[
        bool, Help("try only words whose row of the embedding moved: the simplest leak, where it is sent")
    ] = False

    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """A state for each place, then the verdict."""
        state = AttackState(1, 1, uninformed(observation), float("nan"))
        found = gradient_spans(observation)
        if isinstance(found, Outcome):
            yield replace(state, outcome=found)
            return
        moved = _moved(observation)
        told = _told(observation, moved, found[0])
        if any(span.rank >= span.width - 1 for span in found):
            yield replace(state, outcome=SpanOutcome.FULL, note=f"{told}{_wall(observation, found[0])}")
            return
        beginnings, parts = PrefixSearch(observation, *found, moved if self.moved_only else None), list[RecoveredPart]()
        for part in beginnings.recovered_parts():
            parts.append(part)
            state = _state(observation, beginnings.likeliest, parts)
            yield state
        yield _verdict(observation, state, _best(observation, beginnings.likeliest), told)


def gradient_spans(observation: Observation) -> tuple[RowSpan, RowSpan] | Outcome:
    """Of what entered the first block's attention and its fully connected layers, or why there are none."""
    from lab.federated.causal_transformer import CausalTransformer

    if not isinstance(observation.network.features, CausalTransformer):
        return SpanOutcome.NO_WORDS
    if not {ATTENTION_WEIGHT, FEED_FORWARD_WEIGHT} <= observation.update.keys():
        return ClosedFormOutcome.NOT_SENT
    gradients = observation.mean_gradient(ATTENTION_WEIGHT, FEED_FORWARD_WEIGHT)
    if not (gradients[ATTENTION_WEIGHT].any() and gradients[FEED_FORWARD_WEIGHT].any()):
        return ClosedFormOutcome.DEAD_UNITS
    places, _ = cast("tuple[int, int]", observation.input_shape)
    most = observation.batch_size * places * observation.local_steps  # weights move, and what enters at each step is new
    return RowSpan.of(gradients[ATTENTION_WEIGHT], most), RowSpan.of(gradients[FEED_FORWARD_WEIGHT], most)


def most_sentences(observation: Observation, span: RowSpan) -> int:
    """How many sentences that fill every place leave a direction empty."""
    places, _ = cast("tuple[int, int]", observation.input_shape)
    return (span.width - 2) // (places * observation.local_steps)


def _wall(observation: Observation, span: RowSpan) -> str:
    """Where it would not have ended; nothing where places and steps do not tell."""
    (places, _), most = cast("tuple[int, int]", observation.input_shape), most_sentences(observation, span)
    if most >= observation.batch_size:
        return ""
    steps = f" and {observation.local_steps} local steps" if observation.local_steps > 1 else ""
    fitting = f"{most} sentences" if most > 1 else "one sentence" if most else "no sentence"
    there = f"there are {observation.batch_size}" if observation.batch_size > 1 else "there is one"
    return f" Width {span.width} has room for {fitting} of {places} places{steps}, and {there}."


def _moved(observation: Observation) -> Int[Tensor, " words"] | None:
    """The words whose row of the embedding has a gradient; None where it was not sent, or all have one."""
    if WORD_EMBEDDING not in observation.update:
        return None
    rows = observation.mean_gradient(WORD_EMBEDDING)[WORD_EMBEDDING].abs().amax(1) > 0
    return None if bool(rows.all()) or not bool(rows.any()) else rows.nonzero()[:, 0].cpu()


def _told(observation: Observation, moved: Tensor | None, span: RowSpan) -> str:
    rows = "Rows of the embedding tell no words" if moved is None else f"{len(moved)} rows of the embedding moved"
    return f"{rows}; rank {span.rank} of width {span.width}."


def _state(observation: Observation, sentences: Sequence[Sentence], parts: Sequence[RecoveredPart]) -> AttackState:
    """The sentences so far."""
    newest, (count, _) = parts[-1], cast("tuple[int, int]", observation.input_shape)
    terms = {"right": newest.distance, "wrong": newest.runner_up_distance}
    candidate = _candidate(observation, sentences)
    return AttackState(len(parts), count, candidate, newest.distance, terms, recovered_parts=tuple(parts))


def _candidate(observation: Observation, sentences: Sequence[Sequence[int]]) -> Tensor:
    """One-hot rows; empty where fewer sentences were found than there are."""
    count, size = cast("tuple[int, int]", observation.input_shape)
    rows = [*sentences, *[()] * observation.batch_size][: observation.batch_size]
    return one_hot(padded(rows, count), size).to(next(iter(observation.update.values())))


@dataclass(frozen=True, eq=False)
class _CheckedSentences:
    """Sentences that were held against what was shared."""

    sentences: Tensor
    labels: Tensor
    left: float
    """How far their own update is off."""


def _best(observation: Observation, likeliest: Sequence[Sentence]) -> _CheckedSentences:
    """The sentences whose own update is nearest to the shared one.

    A sentence that is the beginning of another leaves no trace in the spans: where something is left, beginnings are tried.
    """
    best = _tried(observation, likeliest)
    if best.left > EXACT_MISMATCH:
        begun = [text[:length] for text in likeliest[: observation.batch_size] for length in range(len(text) - 1, 0, -1)]
        other = _tried(observation, list(dict.fromkeys([*likeliest, *begun]))[:MAX_TRIED])
        best = other if other.left < RESCALED_SHARE * best.left else best
    return best


def _tried(observation: Observation, candidates: Sequence[Sentence]) -> _CheckedSentences:
    found = select_sentences(observation, candidates)
    sentences = _candidate(observation, [suspect.words for suspect in found])
    labels = torch.zeros(observation.batch_size, dtype=torch.long, device=observation.device)
    labels[: len(found)] = torch.tensor([suspect.label for suspect in found], dtype=torch.long)
    return _CheckedSentences(sentences, labels, fit(observation, sentences, labels).residual)


def _verdict(observation: Observation, state: AttackState, best: _CheckedSentences, told: str) -> AttackState:
    """How it ended, and the labels where the network learns some."""
    farthest, nearest = (
        max(each.distance for each in state.recovered_parts),
        min(each.runner_up_distance for each in state.recovered_parts),
    )
    note = (
        f"{told} The farthest word that fits is {rounded(farthest, 2)} outside the span, the nearest other "
        f"{rounded(nearest, 2)}; the sentences' own update is {percent(best.left)} off."
    )
    labels = best.labels if learns_labels(observation) else None
    outcome = SpanOutcome.READ if best.left <= EXACT_MISMATCH else SpanOutcome.FITS
    return replace(state, candidate=best.sentences, labels=labels, outcome=outcome, note=note)
