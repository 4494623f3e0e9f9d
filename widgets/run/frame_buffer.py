"""The reel: the kept frames of the present run, and the one frame that is on its way to the browser."""

from __future__ import annotations

import time
from collections.abc import Callable

from widgets.run.frames import Frame, Post

ACKNOWLEDGE_S = 1.0
"""A frame that no browser has acknowledged after this time is given up, so that a headless run goes on."""
MOST_FRAMES = 400
MOST_BYTES = 48 * 2**20
"""Of the pictures of a run, ..."""
FEWEST = 8
"""... of which so many are kept, however large they are."""


class FrameBuffer:
    """Newest state only: who looks late misses some, and nobody waits."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.run = 0
        self._sent = 0
        self._stride = 1
        self._mailbox: Post | None = None
        self._number = 0
        self._unacknowledged: tuple[int, float] | None = None
        self._callbacks: list[Callable[[Frame], None]] = []

    def begin(self) -> None:
        """A new run, without a frame yet."""
        self.run += 1
        self.frames.clear()
        self._sent, self._stride = 0, 1
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
        self._keep(frame)
        self._unacknowledged = (frame.id, time.monotonic())
        for callback in self._callbacks:
            callback(frame)

    def _keep(self, frame: Frame) -> None:
        """Every so many frames one, and the newest; twice as many apart each time that there are too many."""
        is_between = self.frames and (self._sent - 1) % self._stride
        self.frames[-1 if is_between else len(self.frames) :] = [frame]
        self._sent += 1
        if len(self.frames) > max(FEWEST, min(MOST_FRAMES, MOST_BYTES // frame.image.nbytes)):
            del self.frames[1:-1:2]
            self._stride *= 2

    def follow(self, callback: Callable[[Frame], None]) -> None:
        """Call back with every frame that is sent."""
        self._callbacks.append(callback)

    def acknowledge(self, number: int) -> None:
        """The browser has drawn this frame; the next may come."""
        if self._unacknowledged is not None and number >= self._unacknowledged[0]:
            self._unacknowledged = None
