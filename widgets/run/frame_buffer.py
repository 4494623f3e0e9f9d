"""The kept frames of the present run, and the one frame that is on its way to the browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

ACKNOWLEDGE_S = 1.0
"""A frame that no browser has acknowledged after this time is given up, so that a headless run goes on."""
MAX_FRAMES = 400
MAX_BYTES = 48 * 2**20
"""Of the pictures of a run, ..."""
FEWEST = 8
"""... of which so many are kept, however large they are."""

State = TypeVar("State")
"""What the worker posts."""
Shown = TypeVar("Shown")
"""What the page is shown of it."""


class FrameBuffer(Generic[State, Shown]):
    """Newest state only: who looks late misses some, and nobody waits."""

    def __init__(self, size: Callable[[Shown], int]) -> None:
        """``size`` is the bytes of what is shown."""
        self.frames: list[Shown] = []
        self.run = 0
        self._size, self._sent, self._stride = size, 0, 1
        self._mailbox: tuple[int, State] | None = None
        self._number = 0
        self._unacknowledged: tuple[int, float] | None = None
        self._callbacks: list[Callable[[Shown], None]] = []

    def begin(self) -> None:
        """A new run, without a frame yet."""
        self.run += 1
        self.frames.clear()
        self._sent, self._stride = 0, 1
        self._mailbox = self._unacknowledged = None

    def post(self, run: int, state: State) -> None:
        """The newest state of that run; any thread may call this, and one of an earlier run counts for nothing."""
        self._mailbox = (run, state)

    def take(self) -> State | None:
        """The newest state, once; None where there is no new one."""
        newest, self._mailbox = self._mailbox, None
        return newest[1] if newest is not None and newest[0] == self.run else None

    @property
    def waits(self) -> bool:
        """Whether a new state is there and the browser is ready for it."""
        newest, pending = self._mailbox, self._unacknowledged
        is_new = newest is not None and newest[0] == self.run
        return is_new and (pending is None or time.monotonic() - pending[1] > ACKNOWLEDGE_S)

    def number(self) -> int:
        """A number for the next frame, never given twice."""
        self._number += 1
        return self._number

    def send(self, shown: Shown) -> None:
        """Keep the frame numbered last for the scrubber (evenly spread, never too many) and hand it out."""
        self._keep(shown)
        self._unacknowledged = (self._number, time.monotonic())
        for callback in self._callbacks:
            callback(shown)

    def _keep(self, shown: Shown) -> None:
        """Every so many frames one, and the newest; twice as many apart each time that there are too many."""
        is_between = self.frames and (self._sent - 1) % self._stride
        self.frames[-1 if is_between else len(self.frames) :] = [shown]
        self._sent += 1
        if len(self.frames) > max(FEWEST, min(MAX_FRAMES, MAX_BYTES // self._size(shown))):
            del self.frames[1:-1:2]
            self._stride *= 2

    def follow(self, callback: Callable[[Shown], None]) -> None:
        """Call back with every frame that is sent."""
        self._callbacks.append(callback)

    def acknowledge(self, number: int) -> None:
        """The browser has drawn this frame; the next may come."""
        if self._unacknowledged is not None and number >= self._unacknowledged[0]:
            self._unacknowledged = None
