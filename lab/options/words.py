"""Numbers in words: what was measured. What is typed back, as options are, is written as Python reads it."""

from __future__ import annotations

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def rounded(number: float, digits: int) -> str:
    """A number to so many digits, its thousands apart: 1,760; a power of ten from a million on and below 0.0001: 3·10⁻⁷."""
    mantissa, _, exponent = f"{float(f'{number:.{digits}g}'):,g}".partition("e")
    return f"{mantissa}·10{str(int(exponent)).translate(SUPERSCRIPTS)}" if exponent else mantissa


def percent(share: float) -> str:
    """A share in words, to two digits."""
    return f"{rounded(100 * share, 2)} %"


def counted(count: int, one: str) -> str:
    """How many there are of something whose plural ends in s: 1 graph, 8 graphs."""
    return f"{count:,} {one}{'s' * (count != 1)}"
