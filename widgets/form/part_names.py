"""What the parts of a page are called: by a lesson that shows some of them, and by a link that hides others."""

from __future__ import annotations

TABS = ("algebra", "difference", "layers", "numbers", "history")
"""Beside the attack, one at a time."""
EVERYTHING = (
    "guide",
    "secret",
    "shield",
    "sent",
    "server",
    "attacker",
    "ending",
    "transport",
    "guess",
    "chips",
    "presets",
    "compare",
    "landscape",
    "plane",
    "doctor",
    "controls",
    "curve",
    "share",
    "conditions",
    *TABS,
)
