"""How alike two sentences are, both as one-hot rows; a row of zeros is a place without a word."""

from __future__ import annotations

from typing import cast

from lab.lazy import Float, Int, Tensor, torch

NONE = -1
"""The number of a place without a word."""

Sentences = Float[Tensor, "batch place piece"]


def numbers(sentences: Sentences) -> Int[Tensor, "batch place"]:
    """The likeliest piece of each place; ``NONE`` where each is as likely: nothing stands there, or nothing is known."""
    return torch.where(sentences.amax(2) > sentences.amin(2), sentences.argmax(2), NONE)


def words_right(found: Sentences, truth: Sentences) -> Float[Tensor, " batch"]:
    """The share of the private words that stand at their place."""
    mine, true = numbers(found), numbers(truth)
    there = true != NONE
    return ((mine == true) & there).sum(1) / there.sum(1).clamp_min(1)


def exact(found: Sentences, truth: Sentences) -> Float[Tensor, " batch"]:
    """1 where every place is right, those without a word, too."""
    return (numbers(found) == numbers(truth)).all(1).float()


def rouge_l(found: Sentences, truth: Sentences) -> Float[Tensor, " batch"]:
    """The longest words in common in order, as F1 of the two sentences (Lin 2004)."""
    pairs = zip(listed(found), listed(truth), strict=True)
    return torch.tensor([_f1(one, other) for one, other in pairs], dtype=torch.float32, device=truth.device)


def listed(sentences: Sentences) -> list[list[int]]:
    """The numbers of each sentence's pieces, places without a word left out."""
    places = cast("list[list[int]]", numbers(sentences).tolist())  # pyright: ignore[reportUnknownMemberType]
    return [[number for number in text if number != NONE] for text in places]


def _f1(one: list[int], other: list[int]) -> float:
    return 2 * _longest_common(one, other) / max(len(one) + len(other), 1)


def _longest_common(one: list[int], other: list[int]) -> int:
    """The length of the longest subsequence of both."""
    above = [0] * (len(other) + 1)
    for mine in one:
        row = [0]
        for place, theirs in enumerate(other):
            row.append(above[place] + 1 if mine == theirs else max(row[-1], above[place + 1]))
        above = row
    return above[-1]
