"""What a reader is told of an exception."""

from __future__ import annotations

from collections.abc import Callable

LOADING = "The lab is still loading; try again in a moment."


def sentence(error: Exception) -> str:
    """One sentence without a traceback: a lab error speaks for itself."""
    from lab.errors import TOO_LARGE, LabError, is_short_of_memory

    if isinstance(error, LabError):
        return str(error)
    if is_short_of_memory(error):
        return TOO_LARGE
    return f"Something went wrong inside the lab ({type(error).__name__}). Reset, or undo the last change, and try again."


def answer(action: Callable[[], None]) -> str:
    """Do it; empty, or the sentence of the ``LabError`` that says why it could not be done."""
    from lab.errors import LabError

    try:
        action()
    except LabError as error:
        return str(error)
    return ""
