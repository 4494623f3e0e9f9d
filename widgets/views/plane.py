"""The plane of leak and accuracy: what the visitor's shields let through and cost, beside what the lab's study found."""

from __future__ import annotations

from typing import Any

import traitlets

from widgets.door.messages import Message
from widgets.readouts import plane
from widgets.views.base import ExperimentView, script, style


class Plane(ExperimentView):
    """A dot for each run that ended; a click on it shows that run and its experiment again."""

    _esm = script("plane")
    _css = style("plane")
    dots = traitlets.List(help="leak, accuracy, attacker and words of each run that has a price").tag(sync=True)
    without = traitlets.Unicode("", help="which runs have none, and why").tag(sync=True)
    study = traitlets.Dict({"dots": [], "told": ""}, help="the dots of the shipped study, and how small that was").tag(
        sync=True
    )

    def __init__(self, film: Any, session: Any) -> None:
        super().__init__(film, session)
        session.observe(self._remembered, names=["history"])

    def _show(self, change: Any = None) -> None:
        if self.session.experiment is not None:
            self.study = plane.study(self.session.experiment)

    def _remembered(self, change: Any) -> None:
        self.dots, self.without = plane.visited(self.session.past.runs)

    def _hear(self, message: Message) -> None:
        number = message.whole("open")
        if any(dot["number"] == number for dot in self.dots):
            self.session.restore(number)
