"""The folder of data sets and weights: what a thread was given for its task, else what the machine has set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

VARIABLE = "GRADLAB_DATA"
_given: ContextVar[str] = ContextVar("data folder", default="")


def current() -> str:
    """The folder's path; "" where there is none."""
    return _given.get() or os.environ.get(VARIABLE, "")


@contextmanager
def given(folder: str) -> Iterator[None]:
    """Within this context, and in this thread alone, the folder is this one; "" changes nothing."""
    before = _given.set(folder or _given.get())
    try:
        yield
    finally:
        _given.reset(before)
