"""Next steps: each chip sets up one experiment that answers the next question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import traitlets

from widgets.door.messages import Message
from widgets.form.gate import edited
from widgets.views.base import View, script, style

if TYPE_CHECKING:
    from lab import Experiment
    from lab.experiments.edits import Patch


@dataclass(frozen=True)
class Chip:
    """A named set of changes of the present experiment."""

    key: str
    title: str
    note: str
    edits: tuple[Patch, ...]
    opens: str = ""
    """A part of the page that it opens: the tab "algebra", or "compare"."""


CHIPS = (
    Chip(
        "trained",
        "Try a trained network",
        "The network is now trained, which usually makes it harder to invert.",
        (("trained", True),),
    ),
    Chip(
        "losses",
        "Compare two losses",
        "A horse, a trained network: by direction alone, and by direction and length. The experiment above stays as it is.",
        (),
        opens="compare",
    ),
    Chip(
        "steps",
        "Take five local steps",
        "The client now takes five steps by itself and sends only how its weights changed.",
        (("local_steps", 5),),
    ),
    Chip(
        "batch",
        "Send eight pictures at once",
        "Eight pictures now share one gradient: averaging blurs, but does it hide?",
        (("batch_size", 8),),
    ),
    Chip(
        "algebra",
        "Do it with algebra",
        "A fully connected network needs no attack at all: one division gives the picture. See the Algebra tab.",
        (("batch_size", 1), ("local_steps", 0), ("network", "mlp")),
        opens="algebra",
    ),
)

EARLY = "The lab is still loading; this is set as soon as it is there."


class Chips(View):
    """Sets the experiment and says what has changed; the reader presses Attack."""

    _esm = script("chips")
    _css = style("chips")
    entries = traitlets.List([{"key": chip.key, "title": chip.title, "opens": chip.opens} for chip in CHIPS]).tag(sync=True)
    chosen = traitlets.Unicode("").tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)

    def __init__(self, film: Any, session: Any) -> None:
        self.session = session
        super().__init__(film)
        self._made: Any = None
        session.observe(self._forget, names=["experiment", "status"])

    def _hear(self, message: Message) -> None:
        wanted, closed = message.text("choose"), message.text("closed")
        for chip in CHIPS:
            if chip.key == wanted:
                self._choose(chip)
            elif closed and chip.key == self.chosen and chip.opens == closed:
                self.chosen = self.note = ""

    def _choose(self, chip: Chip) -> None:
        if self.session.wanted is None or self.session.experiment is None:
            self.session.once_loaded(lambda experiment: self._take(chip, experiment))
            self.note = EARLY
            return
        from lab import LabError

        try:
            self._take(chip, self.session.wanted)
            self.session.take(lambda experiment: edited(experiment, chip.edits))
        except LabError as error:
            self._made, self.chosen, self.note = None, "", str(error)

    def _take(self, chip: Chip, experiment: Experiment) -> Experiment:
        """The experiment with the chip's edits, and the chip marked as chosen."""
        self._made = edited(experiment, chip.edits)
        self.chosen, self.note = chip.key, chip.note
        return self._made

    def _forget(self, change: Any) -> None:
        """The experiment is another one than the chip made, or could not be prepared: nothing is chosen any more."""
        if change.name == "status" and change.old != "loading":
            return
        if self.session.experiment != self._made:
            self.chosen = self.note = ""
