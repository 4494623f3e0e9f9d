"""The card between client and server: what was sent, what the guess would send, and where that moves the guess."""

from __future__ import annotations

from typing import Any

import traitlets

from widgets.door.messages import Message
from widgets.playback.playback import plain
from widgets.views.base import View, script, style


class Loop(View):
    """Two strips a layer and the gap between them, the way downhill, and the real numbers for who asks.

    Beside the guessing stands the other way in, the algebra: ``descent`` is what it has undone so far.
    """

    _esm = script("mathml", "maps", "peeling", "loop")
    _css = style("maps", "loop", "peeling")
    descent = traitlets.Dict().tag(sync=True)

    def __init__(self, film: Any, session: Any) -> None:
        self.session = session
        session.watches_loop = True
        super().__init__(film)
        session.observe(self._descended, names=["descent"])

    def _descended(self, change: Any) -> None:
        self.descent = plain(change.new)

    def _hear(self, message: Message) -> None:
        """Which layer is opened; of one that there is not nothing is shown. Or undo the layers."""
        if message.truth("descend"):
            self.session.descend()
        elif message.kind == "layer":
            self.session.opened_layer = message.text("name")
