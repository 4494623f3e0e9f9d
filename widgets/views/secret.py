"""The client's card: the private input, covered at will, or made by the reader on a pad, a sheet or in a molecule editor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import traitlets

from widgets.door.messages import Message
from widgets.door.sentences import LOADING, answer
from widgets.playback.playback import plain
from widgets.run.frames import tiled
from widgets.views.base import ExperimentView, script, style

if TYPE_CHECKING:
    from lab.client.datasets.base import Dataset
    from widgets.run.frames import Places
    from widgets.run.jobs import Read

MAX_CELLS = 1024
TOO_FINE = "This drawing is too fine for a link; draw larger areas in fewer colours, or save the run as JSON."


class Secret(ExperimentView):
    """Shows the private picture; hiding it is a matter of the browser alone. A drawing is read while it is drawn."""

    _esm = script("pad", "molecule", "writing", "secret")
    _css = style("pad", "molecule", "secret")
    colours = traitlets.Dict(help="name and code of each colour of the pad; empty until the lab is loaded").tag(sync=True)
    query = traitlets.Unicode("", help="the link to a drawn secret, without the address; empty where there is none").tag(
        sync=True
    )
    too_fine = traitlets.Unicode("", help="why a drawn secret has no link").tag(sync=True)

    atoms = traitlets.Dict(help="kinds of atoms, and how many atoms and bonds there may be; empty until loaded").tag(sync=True)

    def _show(self, change: Any = None) -> None:
        experiment = self.session.experiment
        if experiment is None:
            return
        from lab.client.datasets.drawing import COLOURS, Drawing
        from lab.client.datasets.molecule import MAX_ATOMS, MAX_BONDS, Molecule
        from lab.experiments import links
        from lab.modalities.graphs.line_notation import ATOMS

        is_drawn = isinstance(experiment.dataset, Drawing | Molecule)
        query = links.write(experiment) if is_drawn else ""
        fits = is_drawn and links.read(query).experiment.dataset == experiment.dataset
        with self.hold_trait_notifications():
            self.colours = COLOURS
            self.atoms = {"kinds": list(ATOMS), "most": MAX_ATOMS, "bonds": MAX_BONDS}
            self.query = query if fits else ""
            self.too_fine = TOO_FINE if is_drawn and not fits else ""

    def _hear(self, message: Message) -> None:
        """Follow what is being drawn (``sketch``), or take it (``draw``) or a sentence (``write``) as the secret."""
        made = _made(message)
        if made is None:
            return
        if message.kind == "sketch":
            self._refuse(answer(lambda: self._follow(made(), _places(message))))
            return
        refused = self._take(made)
        self._refuse(refused)
        if not refused and message.kind == "write":
            self.send({"type": "written"})

    def _refuse(self, sentence: str) -> None:
        if sentence:
            self.send({"type": "refused", "sentence": sentence})

    def _follow(self, drawing: Dataset, places: Places | None) -> None:
        """Read it as soon as the worker is free: an attack that goes on is ended, as its secret is being replaced."""
        if self.session.wanted is None:
            return self._refuse(LOADING)
        if self.session.status in ("running", "paused"):
            self.session.stop()
        self.session.follower.follow(drawing, self.session.wanted, self._read, self._refuse, places)

    def _read(self, read: Read) -> None:
        from lab.federated.tensors import IMAGES

        shown, sent = read.shown, read.sent
        image = tiled(shown.values) if shown.kind == IMAGES else shown.values
        more = {} if shown.kind == IMAGES else {"inputs": shown.kind, "words": plain(dict(shown.words)), "told": read.told}
        words = {name: plain(value) for name, value in sent.items() if name != "sample"}
        content = {"type": "read", "height": image.shape[0], "width": image.shape[1], "sent": words} | more
        self.send(content, buffers=[image.tobytes(), sent["sample"].tobytes()])

    def _take(self, made: Callable[[], Dataset]) -> str:
        """Attack what the reader has made; empty, or the sentence that says why not."""
        from lab.experiments.edits import patched

        refused = self.session.change(lambda present: patched(present, [("dataset", made()), ("batch_size", 1)]))
        if not refused:
            self.session.start()
        return refused


def _made(message: Message) -> Callable[[], Dataset] | None:
    """What makes the input that a message holds, and raises ``LabError`` where it is none; None where it holds nothing."""
    cells, text = message.file(MAX_CELLS), message.content.get("text")
    kinds, ends = message.wholes("kinds"), message.wholes("bonds")
    if message.kind == "write":
        return (lambda: _written(text)) if isinstance(text, str) else None
    if message.kind not in ("sketch", "draw"):
        return None
    if kinds is not None and ends is not None:
        return lambda: _molecule(kinds, ends)
    return None if cells is None else lambda: _drawing(cells)


def _written(text: str) -> Dataset:
    """In as many places as it needs. Raises ``LabError`` for what is no sentence, or too long a one."""
    from lab.client.datasets.wonderland import MAX_PLACES, PLACES, Wonderland
    from lab.modalities.text.pieces import encode

    return Wonderland(own=(text,), length=min(MAX_PLACES, max(PLACES, len(encode(text)))))


def _drawing(cells: bytes) -> Dataset:
    from lab.client.datasets.drawing import Drawing

    return Drawing.of(cells)


def _molecule(kinds: list[int], ends: list[int]) -> Dataset:
    """Of the ends of its bonds, two and two. Raises ``LabError`` for what is no molecule."""
    from lab.client.datasets.molecule import Molecule

    return Molecule.of(kinds, list(zip(ends[::2], ends[1::2], strict=False)))


def _places(message: Message) -> Places | None:
    """Where each atom stands on the reader's paper, if every one of them is on it."""
    told, kinds = message.numbers("places"), message.wholes("kinds")
    if told is None or kinds is None or len(told) != 2 * len(kinds) or not all(0 <= share <= 1 for share in told):
        return None
    return list(zip(told[::2], told[1::2], strict=True))
