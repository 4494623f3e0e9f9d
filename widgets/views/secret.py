"""The client's card: the private picture or sentence, covered at will, or made by the reader on a pad or a sheet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import traitlets

from widgets.door.messages import Message
from widgets.door.sentences import LOADING, answer
from widgets.playback.playback import plain
from widgets.views.base import ExperimentView, script, style

if TYPE_CHECKING:
    from lab.client.datasets.base import Dataset
    from lab.client.datasets.drawing import Drawing
    from widgets.run.follower import Read

MOST_CELLS = 1024
TOO_FINE = "This drawing is too fine for a link; draw larger areas in fewer colours, or save the run as JSON."


class Secret(ExperimentView):
    """Shows the private picture; hiding it is a matter of the browser alone. A drawing is read while it is drawn."""

    _esm = script("pad", "writing", "secret")
    _css = style("pad", "secret")
    colours = traitlets.Dict(help="name and code of each colour of the pad; empty until the lab is loaded").tag(sync=True)
    query = traitlets.Unicode("", help="the link to a drawn secret, without the address; empty where there is none").tag(
        sync=True
    )
    too_fine = traitlets.Unicode("", help="why a drawn secret has no link").tag(sync=True)

    def _show(self, change: Any = None) -> None:
        experiment = self.session.experiment
        if experiment is None:
            return
        from lab.client.datasets.drawing import COLOURS, Drawing
        from lab.experiments import links

        is_drawn = isinstance(experiment.dataset, Drawing)
        query = links.write(experiment) if is_drawn else ""
        fits = is_drawn and links.read(query).experiment.dataset == experiment.dataset
        with self.hold_trait_notifications():
            self.colours = COLOURS
            self.query = query if fits else ""
            self.too_fine = TOO_FINE if is_drawn and not fits else ""

    def _hear(self, message: Message) -> None:
        """Follow a drawing that is being made (``sketch``), or take it or a sentence as the secret (``draw``, ``write``)."""
        cells = message.file(MOST_CELLS)
        if message.kind == "sketch" and cells is not None:
            self._refuse(answer(lambda: self._follow(_drawing(cells))))
        elif message.kind == "draw" and cells is not None:
            self._refuse(self._take(lambda: _drawing(cells)))
        elif message.kind == "write" and isinstance(text := message.content.get("text"), str):
            refused = self._take(lambda: _written(text))
            self._refuse(refused)
            if not refused:
                self.send({"type": "written"})

    def _refuse(self, sentence: str) -> None:
        if sentence:
            self.send({"type": "refused", "sentence": sentence})

    def _follow(self, drawing: Drawing) -> None:
        """Read it as soon as the worker is free: an attack that goes on is ended, as its secret is being replaced."""
        if self.session.wanted is None:
            return self._refuse(LOADING)
        if self.session.status in ("running", "paused"):
            self.session.stop()
        self.session.follower.follow(drawing, self.session.wanted, self._read, self._refuse)

    def _read(self, read: Read) -> None:
        found, sent = read
        height, width, _ = found.shape
        words = {name: plain(value) for name, value in sent.items() if name != "sample"}
        content = {"type": "read", "height": height, "width": width, "sent": words}
        self.send(content, buffers=[found.tobytes(), sent["sample"].tobytes()])

    def _take(self, made: Callable[[], Dataset]) -> str:
        """Attack what the reader has made; empty, or the sentence that says why not."""
        from lab.experiments.edits import patched

        refused = self.session.change(lambda present: patched(present, [("dataset", made()), ("batch_size", 1)]))
        if not refused:
            self.session.start()
        return refused


def _written(text: str) -> Dataset:
    """In as many places as it needs. Raises ``LabError`` for what is no sentence, or too long a one."""
    from lab.client.datasets.wonderland import MOST_PLACES, PLACES, Wonderland
    from lab.modalities.text.pieces import encode

    return Wonderland(own=(text,), length=min(MOST_PLACES, max(PLACES, len(encode(text)))))


def _drawing(cells: bytes) -> Drawing:
    from lab.client.datasets.drawing import Drawing

    return Drawing.of(cells)
