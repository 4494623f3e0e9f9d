"""Ctrl-C as a request: what was found by then is to be written, and the caller says that it was cut short."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CommandResult:
    """What a long command leaves for its caller to say."""

    summary: str
    interrupted: bool


class Interruption:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, signal_number: int, frame: Any) -> None:
        """The first Ctrl-C asks the attack to end after this iteration, the second ends at once."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Ctrl-C becomes a request inside this block, so that what was found can be written."""
    interruption = Interruption()
    before = signal.signal(signal.SIGINT, interruption)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, before)
