"""The client's shield: a defence and how strong it is, and beside it what that costs."""

from __future__ import annotations

from typing import Any

import traitlets

from widgets.door.messages import Message
from widgets.form import shields
from widgets.views.base import ExperimentView, script, style


class Shield(ExperimentView):
    """Puts on a defence of the catalogue at one of its five strengths; an attack follows where that is quick."""

    _esm = script("shield")
    _css = style("shield")
    choices = traitlets.List(help="value and label of each defence; empty before the lab is loaded").tag(sync=True)
    shield = traitlets.Dict(help="the present one, its strengths, and what is told of each").tag(sync=True)
    priced = traitlets.Unicode("", help="what a price is of").tag(sync=True)
    refused = traitlets.Unicode("", help="why a shield could not be put on").tag(sync=True)

    def __init__(self, film: Any, session: Any) -> None:
        super().__init__(film, session)
        session.observe(self._settled, names=["status"])

    def _settled(self, change: Any) -> None:
        """What was asked for is prepared, or could not be: the card shows what there is."""
        if change.old == "loading":
            self.send({"type": "settled"})

    def _show(self, change: Any = None) -> None:
        if self.session.experiment is None:
            return
        with self.hold_trait_notifications():
            self.choices, self.priced = shields.choices(), shields.of_what()
            self.shield = shields.shield(self.session.experiment)
            self.refused = ""

    def _hear(self, message: Message) -> None:
        known = [each["value"] for each in self.choices]
        if (name := message.text("defence")) in known:
            self._put_on(name)
        elif (strength := message.whole("strength")) is not None and 0 < strength <= len(self.shield.get("steps", ())):
            self._put_on(str(self.shield["defence"]), strength)

    def _put_on(self, name: str, strength: int = 0) -> None:
        self.refused = self.session.change(lambda present: shields.shielded(present, name, strength))
        if not self.refused:
            self.session.start_if_quick()
