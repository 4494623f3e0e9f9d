"""The one exception that reaches a user: a sentence saying what was given, what is allowed, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class LabError(Exception):
    """Something the user gave cannot be used; ``str(error)`` is the sentence to show."""


def unknown_name(what: str, given: object, allowed: Iterable[str]) -> LabError:
    """The error for a name that is not in a list, with the nearest one suggested."""
    names = sorted(allowed)
    near = get_close_matches(str(given), names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return LabError(f"There is no {what} called {str(given)!r}.{hint} Choose one of: {', '.join(names)}.")
