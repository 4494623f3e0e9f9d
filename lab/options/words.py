"""Numbers in words."""

from __future__ import annotations


def rounded(number: float, digits: int) -> str:
    """A number to so many digits, its thousands apart: 1,760; with an exponent from a million on."""
    return f"{float(f'{number:.{digits}g}'):,g}"


def percent(share: float) -> str:
    """A share in words, to two digits."""
    return f"{rounded(100 * share, 2)} %"
