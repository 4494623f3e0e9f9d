"""What a reader is told of an exception."""

from __future__ import annotations

LOADING = "The lab is still loading; try again in a moment."
NO_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
"""What torch, its allocators and the system say."""


def sentence(error: Exception) -> str:
    """One sentence without a traceback: a lab error speaks for itself."""
    if type(error).__name__ == "LabError":
        return str(error)
    if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in NO_MEMORY):
        return "The memory is not enough for this experiment; take a smaller network, picture or batch."
    return f"Something went wrong inside the lab ({type(error).__name__}). Reset, or undo the last change, and try again."
