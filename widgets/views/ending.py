"""The end of a run: what it came to in one sentence, why where it came out badly, and the one question that follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from widgets.door.messages import Message
from widgets.form import steps
from widgets.views.base import ExperimentView, script, style

if TYPE_CHECKING:
    from lab import Experiment
    from lab.experiments.causes import Cause


class Ending(ExperimentView):
    """Says what the run came to; ``question`` is the next step's, which one click takes."""

    _esm = script("ending")
    _css = style("ending")
    question = traitlets.Unicode("", help="what would be asked next; empty before the lab is loaded").tag(sync=True)
    opens = traitlets.Unicode("", help="the tab that belongs to it").tag(sync=True)
    cause = traitlets.Unicode("", help="why it came out badly, where it did").tag(sync=True)
    mend = traitlets.Unicode("", help="the change that mends it, as a button says it; or empty").tag(sync=True)

    def _show(self, change: Any = None) -> None:
        if self.session.experiment is not None:
            step = steps.after(self.session.experiment)
            self.question, self.opens = step.question, step.opens
            likely = _likely(self.session.experiment)
            self.cause, self.mend = (likely.sentence, likely.change) if likely else ("", "")

    def _hear(self, message: Message) -> None:
        if message.kind == "next" and self.session.experiment is not None:
            steps.take(self.session, steps.after(self.session.experiment))
        elif message.kind == "mend" and self.session.experiment is not None:
            self._mend()

    def _mend(self) -> None:
        """Make the change that the likeliest cause asks for, and attack again; undo takes it back."""
        likely = _likely(self.session.experiment)
        if likely and not self.session.change(likely.mended):
            self.session.start()


def _likely(experiment: Experiment) -> Cause | None:
    """The likeliest cause of a failure; None of what nobody simulates here."""
    from lab.experiments.causes import likely_causes

    return next(iter(likely_causes(experiment)), None)
