"""Numbers in words."""

from __future__ import annotations


def rounded(number: float, digits: int) -> str:
    """A number to so many digits, its thousands apart: 1,760; with an exponent from a million on."""
    return f"{float(f'{number:.{digits}g}'):,g}"


def percent(share: float) -> str:
    """A share in words, to two digits."""
    return f"{rounded(100 * share, 2)} %"


def counted(count: int, one: str) -> str:
    """How many there are of something whose plural ends in s: 1 graph, 8 graphs."""
    return f"{count:,} {one}{'s' * (count != 1)}"
