"""What is sent of a run while it goes on: its newest state, as often as the browser can follow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic

from widgets.run.frame_buffer import FrameBuffer, Shown, State

INTERVAL_S = 0.1
"""At most one frame in this time."""


class Publisher(Generic[State, Shown]):
    """Looks every ``INTERVAL_S`` for a new state, and sends it only after the last was drawn."""

    def __init__(
        self, frame_buffer: FrameBuffer[State, Shown], shown: Callable[[State], Shown], look: Callable[[], None]
    ) -> None:
        """``shown`` makes the frame of a state; ``look`` is called as often, whether or not there is a new one."""
        self._frame_buffer, self._shown, self._look = frame_buffer, shown, look
        self._task: asyncio.Task[None] | None = None

    @property
    def publishes(self) -> bool:
        """Whether it has begun and not ended."""
        return self._task is not None

    def begin(self) -> None:
        """Publish from now on."""
        self._task = asyncio.get_running_loop().create_task(self._publish())

    def cancel(self) -> None:
        """Send nothing any more."""
        if self._task is not None:
            self._task.cancel()
        self._task = None

    def end(self) -> None:
        """Send the last state, whether or not the one before was drawn."""
        self.cancel()
        self._send()

    async def _publish(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            if self._frame_buffer.waits:
                self._send()
            self._look()

    def _send(self) -> None:
        newest = self._frame_buffer.take()
        if newest is not None:
            self._frame_buffer.send(self._shown(newest))
