"""The end of a run: what it came to in one sentence, and the one question that follows."""

from __future__ import annotations

from typing import Any

import traitlets

from widgets.door.messages import Message
from widgets.form import steps
from widgets.views.base import View, script, style


class Ending(View):
    """Says what the run came to; ``question`` is the next step's, which one click takes."""

    _esm = script("ending")
    _css = style("ending")
    question = traitlets.Unicode("", help="what would be asked next; empty before the lab is loaded").tag(sync=True)
    opens = traitlets.Unicode("", help="the tab that belongs to it").tag(sync=True)

    def __init__(self, film: Any, session: Any) -> None:
        self.session = session
        super().__init__(film)
        session.observe(self._show, names=["experiment"])
        self._show()

    def _show(self, change: Any = None) -> None:
        if self.session.experiment is not None:
            step = steps.after(self.session.experiment)
            self.question, self.opens = step.question, step.opens

    def _hear(self, message: Message) -> None:
        if message.kind == "next" and self.session.experiment is not None:
            steps.take(self.session, steps.after(self.session.experiment))
