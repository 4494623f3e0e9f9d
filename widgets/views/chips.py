"""Next steps: each chip sets up one experiment that answers the next question, and runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from widgets.door.messages import Message
from widgets.form import steps
from widgets.views.base import ExperimentView, script, style

if TYPE_CHECKING:
    from lab import Experiment

COMPARE = "losses"
COMPARED = "A horse, a trained network: by direction alone, and by direction and length. The experiment above stays as it is."
EARLY = "The lab is still loading; this is set as soon as it is there."


class Chips(ExperimentView):
    """Takes a step at a click; lit is the chip whose experiment the present one is, however it came to be."""

    _esm = script("chips")
    _css = style("chips")
    entries = traitlets.List(help="key, title and tab of each; each kind of inputs has its own").tag(sync=True)
    chosen = traitlets.Unicode("").tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)

    def _show(self, change: Any = None) -> None:
        self.entries = _entries(self.session.experiment)
        if self.session.experiment is not None:
            step = steps.lit(self.session.experiment)
            self.chosen, self.note = (step.key, f"{step.note} {steps.UNDO}") if step else ("", "")

    def _hear(self, message: Message) -> None:
        wanted, closed = message.text("choose"), message.text("closed")
        if wanted == COMPARE:
            self.chosen, self.note = COMPARE, COMPARED
        elif step := next((step for step in steps.STEPS if step.key == wanted), None):
            self._choose(step)
        elif closed == "compare" and self.chosen == COMPARE:
            self._show()

    def _choose(self, step: steps.NextStep) -> None:
        if self.session.wanted is None or self.session.experiment is None:
            self.session.once_loaded(lambda experiment: steps.made(step, experiment))
            self.session.start()
            self.note = EARLY
        elif refused := steps.take(self.session, step):
            self.chosen, self.note = "", refused


def _entries(present: Experiment | None) -> list[dict[str, str]]:
    """The steps on such inputs; two losses are compared on a picture."""
    from lab.federated.tensors import IMAGES

    shown = [{"key": step.key, "title": step.title, "opens": step.opens} for step in steps.offered(present)]
    of_pictures = present is None or present.modality.name == IMAGES
    return [*shown, *([{"key": COMPARE, "title": "Compare two losses", "opens": "compare"}] if of_pictures else [])]
