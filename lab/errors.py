"""The one exception that reaches a user: a sentence saying what was given, what is allowed, what to do."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from difflib import get_close_matches

LONGEST_SENTENCE = 1200
"""Characters; a longer one loses its middle, as what to do stands at its end."""
LONGEST_QUOTE = 80
"""Characters of a value inside a sentence."""
LONGEST_NAME = 60
"""Characters of a name that may be a slip of another one."""
NO_MEMORY = (
    *("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory"),
    *("could not create a primitive", "could not execute a primitive", "could not create a memory"),  # oneDNN, of any failure
    *("without exception set", "without setting an exception", "can't start new thread", "bad_alloc"),
)
"""What torch, its libraries, Python and the system say where they are given none."""
TOO_LARGE = "The memory is not enough for this experiment; take a smaller network, picture or batch."


class LabError(Exception):
    """Something the user gave cannot be used; ``str(error)`` is the sentence to show: of bounded length, all printable."""

    def __init__(self, sentence: str) -> None:
        super().__init__(cut(printable(cut(sentence, LONGEST_SENTENCE)), LONGEST_SENTENCE))


def unknown_name(what: str, given: object, allowed: Iterable[str]) -> LabError:
    """The error for a name that is not in a list, with the nearest one suggested."""
    names = sorted(allowed)
    name = given if isinstance(given, str) else quoted(given)
    near = get_close_matches(name, names, n=1, cutoff=0.5) if len(name) <= LONGEST_NAME else []
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return LabError(f"There is no {what} called {quoted(name)}.{hint} Choose one of: {', '.join(names)}.")


def is_short_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory, of the machine, its graphics card or what a limit leaves."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in NO_MEMORY)


def quoted(value: object) -> str:
    """A value as a sentence quotes it: as Python writes it, so that its type is readable, shortened, and of bounded cost."""
    return cut(_QUOTE.repr(value), LONGEST_QUOTE)


def spoken(number: float) -> str:
    """A number as a sentence says it; a whole one beyond all floats as ``quoted`` does."""
    try:
        return f"{number:g}"
    except OverflowError:
        return quoted(number)


def printable(text: str) -> str:
    """The text with Python's escapes for what prints nothing or turns the writing round: line breaks, lone surrogates."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def cut(text: str, longest: int) -> str:
    """The text without its middle where it is longer."""
    if len(text) <= longest:
        return text
    tail = longest // 3
    return f"{text[: longest - tail - 3]}...{text[-tail:]}"


class _Quote(reprlib.Repr):
    """Python's own way to write a value shortly, also where it is a whole number of thousands of digits."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxtuple = 3, 3, 5, 5
        self.maxstring = self.maxother = LONGEST_QUOTE

    def repr_int(self, x: int, level: int) -> str:
        """All digits while there are few of them, else how many there are, near enough."""
        digits = int(x.bit_length() * 0.30103) + 1
        return repr(x) if digits < LONGEST_QUOTE // 2 else f"a whole number of some {digits} digits"


_QUOTE = _Quote()
