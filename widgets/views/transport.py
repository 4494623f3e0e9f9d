"""The controls of a run: start, pause, step, reset, pace, and the scrubber over kept frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from widgets.views.base import View, script, style

STEPS = (1, 10, 100)
PACES = (6.0, 0.0)


class Transport(View):
    """Sends commands to the session; scrubbing and replay stay in the browser."""

    _esm = script("transport")
    _css = style("transport")

    def __init__(self, film: Any, session: Any) -> None:
        self.session = session
        super().__init__(film)
        self.on_msg(self._receive)

    def _receive(self, _: Any, content: Any, buffers: Any) -> None:
        """Do what was asked for, if it is one of the commands; anything else is ignored."""
        kind = content.get("type") if isinstance(content, dict) else None
        commands: dict[Any, Callable[[], None]] = {
            "start": self._start,
            "pause": self.session.pause,
            "reset": self.session.reset,
        }
        if isinstance(kind, str) and kind in commands:
            commands[kind]()
        elif kind == "step" and content.get("count") in STEPS:
            self.session.step(int(content["count"]))
        elif kind == "pace" and content.get("seconds") in PACES:
            self.session.pace_seconds = float(content["seconds"])

    def _start(self) -> None:
        if self.session.status == "failed":
            self.session.reset()
        self.session.start()
