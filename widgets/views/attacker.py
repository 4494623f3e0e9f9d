"""The server's attacker: one who takes the numbers for what an undefended client sends, or one who knows the shield."""

from __future__ import annotations

from typing import Any

import traitlets

from widgets.door.messages import Message
from widgets.form import shields
from widgets.views.base import ExperimentView, script


class Attacker(ExperimentView):
    """Says who attacks a shield, and takes the other one at a click; without a shield both are one."""

    _esm = script("attacker")
    attacker = traitlets.Unicode("", help="naive or knowing; empty where that makes no difference").tag(sync=True)
    refused = traitlets.Unicode("", help="why the other one could not be taken").tag(sync=True)

    def _show(self, change: Any = None) -> None:
        if self.session.experiment is not None:
            self.attacker, self.refused = shields.attacker(self.session.experiment), ""

    def _hear(self, message: Message) -> None:
        who = message.text("attacker")
        if self.attacker and who in (shields.NAIVE, shields.KNOWING):
            self.refused = self.session.change(lambda present: shields.attacked_by(present, who))
            if not self.refused:
                self.session.start_if_quick()
