"""The controls of a run: start, pause, step, reset, pace, and the scrubber over kept frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from widgets.door.messages import Message
from widgets.views.base import View, script, style

STEPS = (1, 10, 100)
PACES = (6, 0)


class Transport(View):
    """Sends commands to the session; scrubbing and replay stay in the browser."""

    _esm = script("transport")
    _css = style("transport")

    def __init__(self, film: Any, session: Any) -> None:
        self.session = session
        super().__init__(film)

    def _hear(self, message: Message) -> None:
        """Do what was asked for, if it is one of the commands; anything else is ignored."""
        commands: dict[str, Callable[[], None]] = {
            "start": self._start,
            "pause": self.session.pause,
            "reset": self.session.reset,
        }
        if message.kind in commands:
            commands[message.kind]()
        elif message.kind == "step" and (count := message.whole("count")) in STEPS:
            self.session.step(count)
        elif message.kind == "pace" and (seconds := message.whole("seconds")) in PACES:
            self.session.pace_seconds = float(seconds)

    def _start(self) -> None:
        if self.session.status == "failed":
            self.session.reset()
        self.session.start()
