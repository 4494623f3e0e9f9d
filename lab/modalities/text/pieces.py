"""Word pieces: how a sentence becomes numbers of a vocabulary, and words again (made by ``vocabulary_making``)."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from lab.errors import LabError, quoted

FILE = Path(__file__).parent / "vocabulary.json"
INSIDE = "##"
"""Begins a piece that goes on with a word."""
WORDS = re.compile(r"[^\W\d_]+|\d|\S")
"""Words, single digits, and single marks."""
PRINTED = {"'": "‘’‚‛′ʼ", '"': "“”„‟″«»", "-": "‐‑‒–—―−"}
"""What telephones and printers make of the marks that one types."""
TYPED = str.maketrans({made: typed for typed, signs in PRINTED.items() for made in signs})
MAX_LETTERS = 2000
"""Of a sentence: more than any place in the lab holds."""


@cache
def vocabulary() -> tuple[str, ...]:
    """All pieces, by their numbers."""
    return tuple(json.loads(FILE.read_text(encoding="utf-8")))


@cache
def longest() -> int:
    """Bytes of UTF-8 that a piece takes at most."""
    return max(len(piece.encode()) for piece in vocabulary())


@cache
def _numbers() -> dict[str, int]:
    return {piece: number for number, piece in enumerate(vocabulary())}


def typed(sentence: str) -> str:
    """As one types it: small letters, plain marks."""
    return unicodedata.normalize("NFKC", sentence).translate(TYPED).lower()


def encode(sentence: str) -> list[int]:
    """The numbers of a sentence's pieces, the longest that fits first; case and curls of marks are lost.

    Raises ``LabError`` for a sentence that is empty, endless, or has a sign that no piece writes.
    """
    if len(sentence) > MAX_LETTERS:
        raise LabError(
            f"The sentence has {len(sentence):,} letters, more than the {MAX_LETTERS:,} allowed; give a shorter one."
        )
    words = WORDS.findall(typed(sentence))
    if not words:
        raise LabError("The sentence is empty; give one of at least one word.")
    return [number for word in words for number in _word(word)]


def _word(word: str) -> list[int]:
    numbers, begin, rest = list[int](), "", word
    while rest:
        length = next((length for length in range(min(len(rest), longest()), 0, -1) if begin + rest[:length] in _numbers()), 0)
        if not length:
            raise LabError(
                f"The vocabulary has no piece for {quoted(rest[0])}; write with the letters a to z, digits and common marks."
            )
        numbers.append(_numbers()[begin + rest[:length]])
        begin, rest = INSIDE, rest[length:]
    return numbers


def decode(numbers: Iterable[int]) -> str:
    """The pieces as words, with spaces between them where people write some."""
    return re.sub(r" (?=[,.;:!?)])|(?<=\() ", "", " ".join(map(spelt, numbers)).replace(f" {INSIDE}", ""))


def spelt(number: int) -> str:
    """One piece."""
    return vocabulary()[number]
