"""What can be taken away: the link that holds the whole experiment, its QR code, and the run as a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import traitlets

from widgets.door.messages import Message
from widgets.door.sentences import answer
from widgets.files.exports import KINDS
from widgets.files.run_file import MAX_BYTES
from widgets.form.controls import schema
from widgets.surroundings import LOCAL, NAMES, OWN_ADDRESS
from widgets.views.base import View, script, style

if TYPE_CHECKING:
    from lab import Experiment

LONGEST_ADDRESS = 1000
START_FOR_OTHERS = "gradlab serve --listen 0.0.0.0 --host"
MAX_SEEN = 30
"""Experiments that the browser's back button leads to as they were."""


class Share(View):
    """``link`` is the query of the present experiment; the browser knows the address in front of it."""

    _esm = script("share")
    _css = style("share")
    link = traitlets.Unicode("").tag(sync=True)
    left_out = traitlets.Unicode("").tag(sync=True)
    can_hide = traitlets.List(help="path and title of each control that a teacher may hide").tag(sync=True)

    def __init__(self, film: Any, session: Any) -> None:
        self.session = session
        self._seen: dict[str, Experiment] = {}  # by link, the newest last: a link cannot carry one's own pictures
        super().__init__(film)
        session.observe(self._show, names=["experiment", "hidden"])
        self._show()

    def _show(self, change: Any = None) -> None:
        experiment = self.session.experiment
        if experiment is None:
            return
        from lab.experiments import links

        link = links.write(experiment, self.session.hidden, covered=True)
        self._seen = dict([*(each for each in self._seen.items() if each[0] != link), (link, experiment)][-MAX_SEEN:])
        with self.hold_trait_notifications():
            self.link = link
            self.left_out = links.left_out(experiment)
            self.can_hide = [
                {"path": each["path"], "title": each["title"]} for each in schema(experiment) if not each["advanced"]
            ]

    def _hear(self, message: Message) -> None:
        """Draw a QR code of an address; hide what a teacher has chosen; save and open runs; go back and forward."""
        if message.kind == "qr" and _is_address(address := message.text("address", LONGEST_ADDRESS)):
            drawn, note = reachable(address)
            self.send({"type": "qr", "address": address, "drawn": drawn, "note": note, "rows": qr_code(drawn)})
        elif message.kind == "hide" and self._are_controls(paths := message.names("paths")):
            others = [name for name in self.session.hidden if not self._are_controls([name])]
            self.session.hidden = [*others, *(paths or ())]
        elif message.kind == "save" and message.text("as") in KINDS:
            self._save(message.text("as"))
        elif message.kind == "open" and (data := message.file(MAX_BYTES)) is not None:
            self.send({"type": "opened", "sentence": self.session.open_run(data)})
        elif message.kind == "go" and self.session.wanted is not None:
            self._go(message.text("query", LONGEST_ADDRESS))

    def _go(self, query: str) -> None:
        """Take the experiment that the address was of, as it was, and show its last run again, if there was one."""
        from lab.experiments import links
        from widgets.form.admission import admitted

        found = self._seen.get(query) or links.read(query, admitted).experiment
        if found == self.session.wanted:
            return self.send({"type": "stays"})
        past = next((run for run in reversed(self.session.past.runs) if run.experiment == found), None)
        sentence = answer(lambda: self.session.show_run(past) if past else self.session.show(found))
        if sentence:
            self.send({"type": "opened", "sentence": sentence})
            self.send({"type": "stays"})

    def _save(self, kind: str) -> None:
        """Send the file: Voila lets nobody download one, so the browser saves it from its memory."""
        from lab import LabError

        try:
            self.send({"type": "file", "kind": kind, "mime": KINDS[kind]}, buffers=[self.session.export(kind)])
        except LabError as error:
            self.send({"type": "opened", "sentence": str(error)})

    def _are_controls(self, paths: list[str] | None) -> bool:
        known = [each["path"] for each in self.can_hide]
        return paths is not None and all(path in known for path in paths)


def _is_address(text: str) -> bool:
    """Whether it may be one; in other signs than these an address is not written, and not all fit a QR code."""
    return text.isascii() and text.isprintable() and text != ""


def reachable(address: str) -> tuple[str, str]:
    """What a phone is to open where the page stands at ``address``, and a sentence where that needs one."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, f":{parts.port}" if parts.port else ""
    except ValueError:  # it is no address
        return address, ""
    if host not in LOCAL:
        return address, ""
    name = os.environ.get(NAMES, "").split(",")[0]
    if name:
        return urlunsplit(parts._replace(netloc=f"{name}{port}")), f"Drawn for {name}, under which others reach this server."
    own = os.environ.get(OWN_ADDRESS, "")
    then = f" Its address is then http://{own}{port}/." if own else ""
    return address, f"Only this machine can open {host}. For phones, run: {START_FOR_OTHERS} {own or 'NAME'}.{then}"


def qr_code(address: str) -> list[str]:
    """The rows of a QR code, 1 for dark and 0 for light, without the quiet zone around it."""
    import segno

    return ["".join("1" if dark else "0" for dark in row) for row in segno.make(address, micro=False).matrix]
