"""The line-up: which place a private input takes among decoys, by likeness to its reconstruction, and what that is worth."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lab.lazy import Float, Tensor


class Verdict(Enum):
    """What a person could do with the reconstruction, told by the line-up; the value is said to the reader."""

    RECOGNISABLE = "Recognisable"
    HINT = "Taking shape"
    HIDDEN = "Not recognisable"


@dataclass(frozen=True)
class Thresholds:
    """What likeness a verdict asks for, beside a place in the line-up."""

    recognisable: float
    hint: float

    def verdict(self, rank: int, likeness: float) -> Verdict:
        """Recognisable: first in the line-up and alike; taking shape: somewhat alike; else not recognisable."""
        if rank == 1 and likeness >= self.recognisable:
            return Verdict.RECOGNISABLE
        return Verdict.HINT if rank <= 2 and likeness >= self.hint else Verdict.HIDDEN

    def told(self, rank: int, likeness: float) -> str:
        """A place in words, to be followed by "of 8": "1st", or "like none" where the first, too, is unlike.

        Noise comes first one time in eight; beside *Not recognisable*, a first place would only puzzle.
        """
        return "like none" if rank == 1 and likeness < self.hint else ordinal(rank)


def place(likenesses: Float[Tensor, " suspects"]) -> tuple[int, float]:
    """Rank of the first suspect by likeness to the reconstruction (ties count against it), and that likeness."""
    return int((likenesses >= likenesses[0]).sum()), float(likenesses[0])


def ordinal(number: int) -> str:
    """A place in words: 1st, 2nd, 3rd, 4th ... 11th ... 21st."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
