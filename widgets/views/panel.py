"""Beside the attack: the algebra with the real numbers, the difference, and what each number means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets

from widgets.door.messages import Message
from widgets.form.part_names import TABS
from widgets.playback.playback import plain
from widgets.views.base import View, script, style


class Panel(View):
    """The ``tabs`` wanted of ``TABS``; ``algebra`` is the derivation for the row picked, ``descent`` the way down."""

    _esm = script(
        "mathml", "maps", "algebra", "wall", "span", "peeling", "descent", "difference", "layers", "numbers", "history", "panel"
    )
    _css = style("maps", "peeling", "panel", "descent", "layers", "history")
    tabs = traitlets.List(traitlets.Unicode(), list(TABS)).tag(sync=True)
    algebra = traitlets.Dict().tag(sync=True)
    descent = traitlets.Dict().tag(sync=True)
    history = traitlets.List().tag(sync=True)

    def __init__(self, film: Any, session: Any, tabs: Sequence[str] = TABS) -> None:
        self.session = session
        super().__init__(film, tabs=list(tabs))
        session.observe(self._show, names=["round_info"])
        session.observe(self._descended, names=["descent"])
        session.observe(self._remembered, names=["history"])
        self._show()

    def _show(self, change: Any = None) -> None:
        self._derive(None)

    def _derive(self, row: int | None) -> None:
        derived = self.session.algebra(row)
        if derived is not None:
            self.algebra = {key: _sent(value) for key, value in derived.items()}

    def _descended(self, change: Any = None) -> None:
        self.descent = plain(self.session.descent)

    def _remembered(self, change: Any = None) -> None:
        self.history = plain(self.session.history)

    def _hear(self, message: Message) -> None:
        """Derive for the row that was picked, if there is such a row; go down where that is asked for."""
        if message.truth("descend"):
            self.session.descend()
        elif (watches := message.truth("watch")) is not None:
            self.session.watches_layers = watches
        elif (number := message.whole("restore")) is not None:
            self.session.restore(number)
        elif (row := message.whole("row")) is not None and 0 <= row < self.algebra.get("rows", 0):
            self._derive(row)


def _sent(value: Any) -> Any:
    """Arrays as bytes (pictures with their size), everything else as plain data."""
    if isinstance(value, np.ndarray) and value.ndim == 3:
        height, width, _ = value.shape
        return {"pixels": value.tobytes(), "height": height, "width": width}
    if isinstance(value, np.ndarray):
        return value.astype(np.float32).tobytes()
    return plain(value)
