"""The form that changes the experiment; every edit is checked in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from widgets.door.messages import Message
from widgets.form.admission import change
from widgets.form.controls import schema
from widgets.views.base import ExperimentView, script, style

if TYPE_CHECKING:
    from lab import Experiment

LONGEST_NAME = 80
LARGEST_UPLOAD = 8_000_000
"""Bytes; the browser shrinks pictures to 224 pixels before it sends them."""


class Controls(ExperimentView):
    """Shows ``controls`` and sends edits; a refused edit comes back as a sentence beside its control."""

    _esm = script("camera", "controls")
    _css = style("controls")
    controls = traitlets.List().tag(sync=True)
    thumbs = traitlets.Dict().tag(sync=True)
    errors = traitlets.Dict().tag(sync=True)
    changed = traitlets.Bool(False).tag(sync=True)
    at_once = traitlets.Bool(False, help="whether each change that is quick to attack is followed by an attack").tag(sync=True)

    def __init__(self, film: Any, session: Any) -> None:
        self._unanswered: Experiment | None = None  # what was chosen since the last attack
        super().__init__(film, session)
        session.observe(self._settled, names=["status"])

    def _show(self, change: Any = None) -> None:
        """Rebuild the form for the session's experiment."""
        if self.session.experiment is None:
            return
        if not self.thumbs:
            self.thumbs = thumbnails()
        self.changed = self.session.can_undo
        self.controls = self.session.costs.shown_in(schema(self.session.experiment))
        self.errors = {}

    def _settled(self, change: Any) -> None:
        """What was asked for is prepared, or could not be: the form shows what there is, whatever was clicked meanwhile."""
        if change.new == "running":
            self._unanswered = None
        if change.old == "loading":
            self.changed = self.session.can_undo
            self.send({"type": "settled"})

    def _hear(self, message: Message) -> None:
        if message.kind == "edit" and (path := message.text("path")):
            self._answer(path, change(self.session, ((path, message.content.get("value")),)))
        elif message.kind == "at_once":
            self.at_once = message.truth("wanted") is True
        elif message.kind == "follow":
            self._follow()
        elif message.kind == "undo":
            self.session.undo()
            self._unanswered = self.session.wanted
        elif message.kind == "upload" and (data := message.file(LARGEST_UPLOAD)) is not None:
            self._answer("picture", self.session.upload(data, message.text("name")[:80] or "the picture"))
        elif message.kind == "update" and (data := message.file(_largest_update())) is not None:
            name = _shown(message.text("name"))
            self._say("picture", self.session.open_update(data, name, lambda told: self._say("picture", told)))

    def _answer(self, path: str, sentence: str) -> None:
        """What was refused is said, what was taken is to be attacked."""
        self._say(path, sentence)
        if not sentence:
            self._unanswered = self.session.wanted

    def _say(self, path: str, sentence: str) -> None:
        """Show or clear the sentence beside a control; a new dictionary, so that the browser hears of it twice."""
        others = {key: text for key, text in self.errors.items() if key != path}
        self.errors = others | ({path: sentence} if sentence else {})
        if sentence:
            self.send({"type": "settled"})

    def _follow(self) -> None:
        """The browser has heard of no further change for a moment: attack what was chosen, unless that takes long."""
        if self.at_once and self._unanswered is not None and self._unanswered == self.session.wanted:
            self._unanswered = None
            self.session.start_if_quick()


def _shown(name: str) -> str:
    """What a file is called in sentences: printable, and short."""
    from lab.errors import printable

    return printable(name)[:LONGEST_NAME] or "the update"


def thumbnails() -> dict[str, dict[str, Any]]:
    """The gallery's small pictures as PNG files in bytes, with their words, by name."""
    from lab.client.datasets.gallery import FOLDER, credits

    return {
        name: {"png": (FOLDER / "32" / f"{name}.png").read_bytes(), "title": str(entry["title"]), "alt": str(entry["alt"])}
        for name, entry in credits().items()
    }


def _largest_update() -> int:
    """Bytes of a file with an update."""
    from lab.client.datasets.unknown import MAX_BYTES

    return MAX_BYTES
