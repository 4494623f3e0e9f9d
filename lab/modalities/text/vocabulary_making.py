"""How the vocabulary was made: ``python -m lab.modalities.text.vocabulary_making TEXT.json`` makes it anew of a text."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lab.modalities.text import pieces

SIZE = 3000


def made_from(sentences: Sequence[str], size: int) -> list[str]:
    """A vocabulary: every letter as a beginning and inside, then the commonest words and, of those, the commonest endings.

    Pieces beyond letters are taken by how many letters of the text they save.
    """
    counts = Counter(word for sentence in sentences for word in pieces.WORDS.findall(sentence.lower()))
    letters = sorted({*"abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'\"()-*_`&/", *"".join(counts)})
    single = [*letters, *(pieces.INSIDE + letter for letter in letters if letter.isalpha())]
    saved = Counter[str]()
    for word, count in counts.items():
        saved[word] += count * len(word)
        for cut in range(2, len(word) - 1):
            saved[word[:cut]] += count * (cut - 1) // 2
            saved[pieces.INSIDE + word[cut:]] += count * (len(word) - cut - 1)
    best = sorted((piece for piece in saved if piece not in single), key=lambda piece: (-saved[piece], piece))
    return [*single, *best[: size - len(single)]]


def _command(path: str) -> None:
    sentences = json.loads(Path(path).read_text(encoding="utf-8"))["sentences"]
    pieces.FILE.write_text(json.dumps(made_from(sentences, SIZE), ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _command(sys.argv[1])
