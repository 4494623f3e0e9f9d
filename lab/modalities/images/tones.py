"""Which numbers of a file are black and which are white: by custom where they fill a usual range, else by what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lab.lazy import np

from lab.options.fields import Bounds, Help, Option

CONVENTIONS = {
    "b1": ((0, 1),),
    "u1": ((0, 255),),
    "u2": ((0, 65535), (0, 255)),
    "f": ((0, 1), (-1, 1), (0, 255), (0, 65535)),
}
"""Of each kind of number (NumPy's letters) the usual (black, white), the likeliest first."""

WIDE = ((0, 255), (0, 65535))
"""The like for whole numbers so wide that they have no range of their own."""

NOT_WORTH_SAYING = (("u1", (0, 255)), ("u2", (0, 65535)), ("f", (0, 1)))
"""What every reader expects."""

MIN_SPAN = 0.25
"""A custom holds where the numbers span more than this share of it: 12 or 14 bits do not fill 16."""


@dataclass(frozen=True)
class Tones(Option):
    """The numbers of a file that are drawn black and white; those between are grey in proportion."""

    black: Annotated[float, Bounds(-1e300, 1e300), Help("the number drawn black")] = 0.0
    white: Annotated[float, Bounds(-1e300, 1e300), Help("the number drawn white")] = 255.0

    def applied(self, values: np.ndarray) -> np.ndarray:
        """The values as float32 in [0, 1]; what is no number (NaN) is black."""
        shares = (np.nan_to_num(values.astype(np.float64), nan=self.black) - self.black) / (self.white - self.black)
        return shares.clip(0, 1).astype(np.float32)

    def told(self, whose: str) -> str:
        """The sentence for a reader; ``whose`` names the file, or the array."""
        return f"The numbers in {whose} were drawn so that {self.black:g} is black and {self.white:g} is white."


def tones_of(values: np.ndarray) -> tuple[Tones, bool]:
    """The tones of a picture or a whole set of pictures, and whether they need saying.

    A custom holds where every number lies in its range and they span more than a quarter of it. Where none holds, the
    lowest number is black and the highest white. A single number spans nothing: it keeps the first custom that holds it.
    """
    numbers = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 0.0)
    return tones_between(low, high, values.dtype)


def tones_between(low: float, high: float, kind: np.dtype) -> tuple[Tones, bool]:
    """``tones_of`` numbers of a kind of which the lowest and the highest are known."""
    letters = "f" if kind.kind == "f" else f"{kind.kind}{kind.itemsize}"
    customs = CONVENTIONS.get(letters, WIDE)
    holding = [(black, white) for black, white in customs if black <= low and high <= white]
    filled = [(black, white) for black, white in holding if high - low > MIN_SPAN * (white - black)]
    black, white = (filled or (holding if low == high else []) or [_apart(low, high)])[0]
    return Tones(float(black), float(white)), (letters, (black, white)) not in NOT_WORTH_SAYING


def _apart(low: float, high: float) -> tuple[float, float]:
    """Lowest and highest, or for a single number a range that holds it."""
    return (low, high) if low < high else (min(low, 0.0), max(high, 1.0))
