"""A sentence read off an update of a BERT, built as ``transformers`` builds it; of that package nothing is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lab.lazy import Float, Int, Tensor, no_grad, torch

from lab.attacks.closed_form.row_span import RowSpan, SpanDistances
from lab.errors import LabError

ATTENTION = "encoder.layer.0.attention.self."
QUERY_KEY_VALUE = tuple(f"{ATTENTION}{part}.weight" for part in ("query", "key", "value"))
WORD_EMBEDDING = "embeddings.word_embeddings.weight"
CHUNK = 2048
"""Words that are looked at together."""


@dataclass(frozen=True)
class WordMatch:
    """The word that fits a place best, and how it stands out."""

    word: int
    distance: float
    """How far outside the span it lies."""
    others: int
    """Words that fit, too."""
    runner_up: int
    runner_up_distance: float
    """The nearest word that is not it."""


def recover_words(
    encoder: Any, update: Mapping[str, Tensor], *, places: int = 64, moved_only: bool = False
) -> Iterator[WordMatch]:
    """The words of one sentence, place by place, until none fits.

    Of a ``BertModel`` as it was sent to the client, and the client's gradient or change of weights by any names that end in
    the encoder's own. No sentence is longer than ``places``; ``moved_only`` tries only words whose row of the embedding moved.
    Raises ``LabError`` for an update without the first attention, and for more places than the encoder has.
    """
    most = encoder.config.max_position_embeddings
    if not 1 <= places <= most:
        raise LabError(f"places = {places} is not between 1 and {most}, which is as many as this encoder has.")
    span = RowSpan.of(torch.cat([_named(update, name) for name in QUERY_KEY_VALUE]), places)
    candidates = _moved(update, encoder) if moved_only else torch.arange(encoder.config.vocab_size)
    for place in range(places):
        spread = _spread(span, encoder.embeddings, candidates, place)
        if not bool(spread.fits.any()):
            return
        first, second = spread.distance.argsort()[:2].tolist()
        yield WordMatch(
            int(candidates[first]),
            float(spread.distance[first]),
            int(spread.fits.sum()) - 1,
            int(candidates[second]),
            float(spread.distance[second]),
        )


def _named(update: Mapping[str, Tensor], name: str) -> Tensor:
    """A tensor of the encoder, whatever it stands in."""
    found = [tensor for own, tensor in update.items() if own == name or own.endswith(f".{name}")]
    if len(found) != 1:
        raise LabError(
            f"The update holds {len(found)} tensors called {name}; give that of one BertModel, its attention trained."
        )
    return found[0]


def _moved(update: Mapping[str, Tensor], encoder: Any) -> Int[Tensor, " words"]:
    rows = _named(update, WORD_EMBEDDING)
    return rows.abs().amax(1).nonzero()[:, 0] if len(rows) == encoder.config.vocab_size else torch.arange(len(rows))


@no_grad
def _spread(span: RowSpan, embeddings: Any, words: Tensor, place: int) -> SpanDistances:
    """Of each word at a place, as it enters the first attention: normed with its place, without dropout."""
    was_training = embeddings.training
    embeddings.eval()
    try:
        parts = [span.spread(_entering(embeddings, part, place)) for part in words.split(CHUNK)]
    finally:
        embeddings.train(was_training)
    return SpanDistances.joined(parts)


def _entering(embeddings: Any, words: Tensor, place: int) -> Float[Tensor, "words width"]:
    numbers = words[:, None]
    return embeddings(input_ids=numbers, position_ids=torch.full_like(numbers, place))[:, 0]
