"""Numbers in words."""

from __future__ import annotations


def percent(share: float) -> str:
    """A share in words, to two digits."""
    return f"{float(f'{100 * share:.2g}'):g} %"
