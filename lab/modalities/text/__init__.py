"""Sentences: for each place one of the pieces of a vocabulary, as one-hot rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

from lab.lazy import Float, Int, Tensor, functional, no_grad, np, torch

from lab.errors import LabError
from lab.federated.observation import Observation
from lab.federated.tensors import Inputs
from lab.modalities.base import Beside, Leaves, Measure, Modality, Shown
from lab.modalities.line_up import Thresholds
from lab.modalities.pairing import best_matching
from lab.modalities.text import pieces
from lab.modalities.text.scores import NONE, Sentences, exact, listed, numbers, rouge_l, words_right

LOGITS = "logits"
LEAST = 1e-12

Alike = Callable[[Inputs, Inputs], Tensor]


@dataclass(frozen=True)
class Text(Modality):
    """Sentences, a word piece at each place; an attack moves what share each piece has of a place."""

    dataset: ClassVar[str] = "wonderland"
    network: ClassVar[str] = "transformer"
    one: ClassVar[str] = "sentence"
    many: ClassVar[str] = "sentences"
    main: ClassVar[str] = "words_right"
    measures: ClassVar[Mapping[str, Measure]] = {
        "words_right": Measure(
            cast("Alike", words_right), "Words right", "Share of the private word pieces that stand at their own place."
        ),
        "exact": Measure(cast("Alike", exact), "Exact", "1 where the whole sentence is right, word for word.", nothing="0"),
        "rouge_l": Measure(
            cast("Alike", rouge_l),
            "ROUGE-L",
            "Words in common in the same order, wherever they stand (Lin 2004): 1 for equal sentences.",
        ),
    }
    controls: ClassVar[Mapping[str, str]] = {"unigram": "the commonest word at every place"}
    thresholds: ClassVar[Thresholds] = Thresholds(recognisable=0.6, hint=0.25)
    fitting: ClassVar[str] = "sentences of the length"
    likeness_meaning: ClassVar[str] = "The share of word pieces that stand at their own place: 1 is all of them."

    def start(self, seen: Observation, generator: torch.Generator, *, noise: bool) -> Sentences:
        """Each piece as likely at each place, or noise around that."""
        like = next(iter(seen.update.values()))
        places, size = cast("tuple[int, int]", seen.input_shape)
        shape = (seen.batch_size, places, size)
        logits = torch.randn(shape, generator=generator, dtype=like.dtype) if noise else torch.zeros(shape, dtype=like.dtype)
        return logits.softmax(2).to(like.device)

    def leaves(self, candidate: Inputs, *, broad: bool) -> Leaves:
        """Logits of the pieces."""
        return {LOGITS: _sentences(candidate).detach().clamp_min(LEAST).log()}

    def inputs(self, leaves: Leaves, like: Inputs) -> Sentences:
        """Each place on the simplex."""
        return leaves[LOGITS].softmax(2)

    @no_grad
    def project(self, leaves: Leaves, like: Inputs, *, boxed: bool) -> Sentences:
        """A softmax is inside wherever its logits are."""
        return self.inputs(leaves, like).detach()

    def inside(self, candidate: Inputs) -> Sentences:
        """The shares, none below nothing."""
        return _sentences(candidate).clamp(0, 1)

    def decode(self, candidate: Inputs, seen: Observation | None) -> Sentences:
        """The likeliest piece of each place."""
        sentences = _sentences(candidate)
        return one_hot(numbers(sentences), sentences.shape[2]).to(sentences)

    def pair(self, truth: Inputs, found: Inputs) -> Int[Tensor, " batch"]:
        """Pairs of sentences that differ in fewest places."""
        return best_matching(_sentences(truth).flatten(1), _sentences(found).flatten(1))

    def likeness(self, one: Inputs, others: Inputs) -> Float[Tensor, " others"]:
        """The share of words at their place."""
        suspects = _sentences(others)
        return words_right(_sentences(one).expand_as(suspects), suspects)

    def ignorance(self, truth: Inputs, others: Inputs) -> Mapping[str, Inputs]:
        """The piece that is commonest in the other sentences, wherever there is a word."""
        counts = _sentences(others).sum((0, 1))
        commonest = functional.one_hot(counts.argmax(), len(counts)).to(_sentences(truth))
        return {"unigram": commonest * _sentences(truth).sum(2, keepdim=True)}

    def refuse(self, truth: Inputs) -> None:
        """Raise ``LabError`` unless there is one piece at a place, or none."""
        sentences = _sentences(truth)
        if not bool(((sentences == 0) | (sentences == 1)).all()) or bool((sentences.sum(2) > 1).any()):
            raise LabError("truth holds places with more than one word; give one-hot rows, as the data set has them.")

    def shown(self, inputs: Inputs, beside: Beside | None = None) -> Shown:
        """The letters of each sentence as bytes of UTF-8, zeros behind them; in the order of the private ones beside it."""
        sentences = _sentences(inputs)
        if beside is not None and beside.truth is not None:
            sentences = sentences[self.pair(beside.truth, sentences)]
        told = to_words(sentences)
        texts = [text.encode() for text in told]
        array = np.zeros((len(texts), sentences.shape[1] * (pieces.longest() + 1)), np.uint8)
        for row, text in zip(array, texts, strict=True):
            row[: len(text)] = np.frombuffer(text, np.uint8)
        return Shown(self.name, array, {"told": told})

    def packed(self, inputs: Inputs) -> Tensor:
        """The number of each piece."""
        return numbers(_sentences(inputs)).to(torch.int16).cpu()

    def unpacked(self, frame: Inputs) -> Sentences:
        """One-hot rows."""
        assert isinstance(frame, Tensor)
        return one_hot(frame.long(), len(pieces.vocabulary()))

    def files(self, original: Inputs, rebuilt: Inputs, frames: list[Inputs]) -> Mapping[str, bytes]:
        """The sentences, one in a line."""
        both = {"original.txt": original, "reconstruction.txt": rebuilt}
        return {name: ("\n".join(to_words(_sentences(inputs))) + "\n").encode() for name, inputs in both.items()}


def to_words(sentences: Sentences) -> list[str]:
    """One-hot rows as words; an ellipsis stands for what nobody knows."""
    return [pieces.decode(found) or "…" for found in listed(sentences)]


def rows_of(sentences: Sequence[Sequence[int]], places: int) -> Sentences:
    """Numbers of pieces as one-hot rows, rows of zeros where a sentence has ended."""
    return one_hot(padded(sentences, places), len(pieces.vocabulary()))


def padded(sentences: Sequence[Sequence[int]], places: int) -> Int[Tensor, "batch place"]:
    """Numbers of pieces, as many as there are places, ``NONE`` where a sentence has ended."""
    return torch.tensor([[*found[:places], *[NONE] * (places - len(found))] for found in sentences], dtype=torch.long)


def one_hot(places: Int[Tensor, "batch place"], size: int) -> Sentences:
    """A row of zeros for ``NONE``."""
    return functional.one_hot(places.clamp_min(0), size).float() * (places != NONE)[..., None]


def _sentences(inputs: Inputs) -> Tensor:
    """The one tensor that sentences are."""
    assert not isinstance(inputs, Mapping)
    return inputs
