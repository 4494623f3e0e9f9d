"""The card between client and server: what was sent, what the guess would send, and where that moves the guess."""

from __future__ import annotations

from typing import Any

from widgets.door.messages import Message
from widgets.views.base import View, script, style


class Loop(View):
    """Two strips a layer and the gap between them, the way downhill, and the real numbers for who asks."""

    _esm = script("loop")
    _css = style("loop")

    def __init__(self, film: Any, session: Any) -> None:
        self.session = session
        session.watches_loop = True
        super().__init__(film)

    def _hear(self, message: Message) -> None:
        """Which layer is opened; of one that there is not nothing is shown."""
        if message.kind == "layer":
            self.session.opened_layer = message.text("name")
