"""The reel: the kept frames of the present run, and the one frame that is on its way to the browser."""

from __future__ import annotations

import time
from collections.abc import Callable

from widgets.run.frames import Frame, Post

ACKNOWLEDGE_S = 1.0
"""A frame that no browser has acknowledged after this time is given up, so that a headless run goes on."""
MOST_FRAMES = 400


class FrameBuffer:
    """Newest state only: who looks late misses some, and nobody waits."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.run = 0
        self._mailbox: Post | None = None
        self._number = 0
        self._unacknowledged: tuple[int, float] | None = None
        self._callbacks: list[Callable[[Frame], None]] = []

    def begin(self) -> None:
        """A new run, without a frame yet."""
        self.run += 1
        self.frames.clear()
        self._mailbox = self._unacknowledged = None

    def post(self, post: Post) -> None:
        """The newest state; any thread may call this."""
        self._mailbox = post

    def take(self) -> Post | None:
        """The newest state, once; None where there is no new one."""
        newest, self._mailbox = self._mailbox, None
        return newest

    @property
    def waits(self) -> bool:
        """Whether a new state is there and the browser is ready for it."""
        pending = self._unacknowledged
        return self._mailbox is not None and (pending is None or time.monotonic() - pending[1] > ACKNOWLEDGE_S)

    def number(self) -> int:
        """A number for a new frame, never given twice."""
        self._number += 1
        return self._number

    def send(self, frame: Frame) -> None:
        """Keep a frame for the scrubber (evenly spread, never too many) and hand it out."""
        self.frames.append(frame)
        if len(self.frames) > MOST_FRAMES:
            del self.frames[1:-1:2]
        self._unacknowledged = (frame.id, time.monotonic())
        for callback in self._callbacks:
            callback(frame)

    def follow(self, callback: Callable[[Frame], None]) -> None:
        """Call back with every frame that is sent."""
        self._callbacks.append(callback)

    def acknowledge(self, number: int) -> None:
        """The browser has drawn this frame; the next may come."""
        if self._unacknowledged is not None and number >= self._unacknowledged[0]:
            self._unacknowledged = None
