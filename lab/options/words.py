"""Numbers in words."""

from __future__ import annotations


def percent(share: float) -> str:
    """A share in words."""
    return f"{100 * share:.2g} %"
