"""What a reader is told of an exception."""

from __future__ import annotations

LOADING = "The lab is still loading; try again in a moment."


def sentence(error: Exception) -> str:
    """One sentence without a traceback: a lab error speaks for itself."""
    if type(error).__name__ == "LabError":
        return str(error)
    if "out of memory" in str(error).lower() or isinstance(error, MemoryError):
        return "The memory is not enough for this experiment; take a smaller network, picture or batch."
    return f"Something went wrong inside the lab ({type(error).__name__}). Reset, or undo the last change, and try again."
