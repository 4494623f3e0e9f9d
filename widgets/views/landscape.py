"""The map: whole attacks over two choices at a glance, as they ship or computed here for the present secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from widgets.door.messages import Message
from widgets.door.sentences import LOADING, sentence
from widgets.landscape.filling import Filling, Place
from widgets.landscape.grids import GRIDS, Grid
from widgets.views.base import View, script, style

if TYPE_CHECKING:
    from lab import Experiment
    from widgets.landscape.cells import Cell


class Landscape(View):
    """Sends the cells of a grid when it is looked at; a cell can be opened in the loop, and all be computed anew."""

    _esm = script("landscape")
    _css = style("landscape")
    grids = traitlets.List(help="name, question and axes of each").tag(sync=True)

    def __init__(self, film: Any, session: Any) -> None:
        self.session = session
        self._filling = Filling(session, self._tell, self._say)
        self._filled: tuple[str, Experiment | None] = ("", None)  # which grid is being computed, and from which experiment on
        super().__init__(film, grids=[_words(grid) for grid in GRIDS.values()])

    def _hear(self, message: Message) -> None:
        grid = GRIDS.get(message.text("grid"))
        if message.kind == "stop":
            self._filling.stop()
        elif grid is None:
            return
        elif message.kind == "show":
            self._show(grid)
        elif message.kind == "fill":
            self._fill(grid)
        elif message.kind == "open":
            self._open(grid, (message.whole("row"), message.whole("column")))

    def _show(self, grid: Grid) -> None:
        """The cells that ship."""
        from widgets.landscape.recording import recorded

        self._filling.stop()
        self._filled = ("", None)
        cells = recorded(grid.name).cells
        told = [_told(place, cell) | {"link": _link(grid, place)} for place, cell in cells.items()]
        pictures = [cell.picture.tobytes() for cell in cells.values() if cell]
        self.send({"type": "cells", "grid": grid.name, "cells": told}, buffers=pictures)

    def _fill(self, grid: Grid) -> None:
        """Compute them on the present pictures, and say so where others are taken."""
        present = self.session.wanted
        if present is None:
            return self._say(LOADING)
        try:
            start = _start(present)
            places = [(place, grid.experiment(*place, start)) for place in grid.cells]
        except Exception as error:  # of what this secret cannot be attacked by
            return self._say(sentence(error))
        self._filled = (grid.name, start)
        self.send(
            {"type": "cells", "grid": grid.name, "left": len(places), "cells": [_told(place, None) for place, _ in places]}
        )
        if start.dataset != present.dataset:
            self._say(
                f"The map is of pictures: the present {present.modality.many} have none, so the default picture's is computed."
            )
        self._filling.begin(places)

    def _open(self, grid: Grid, asked: tuple[int | None, int | None]) -> None:
        place = next((each for each in grid.cells if each == asked), None)
        if self.session.wanted is None:
            self._say(LOADING)
        elif place is not None:
            name, start = self._filled
            self.session.show(grid.experiment(*place, start if name == grid.name else None))
            self.session.start()

    def _tell(self, place: Place, cell: Cell | None, left: int) -> None:
        self.send(
            {"type": "cell", "grid": self._filled[0], "left": left, "cell": _told(place, cell)},
            buffers=[cell.picture.tobytes()] if cell else [],
        )

    def _say(self, told: str) -> None:
        self.send({"type": "said", "sentence": told})


def _start(present: Experiment) -> Experiment:
    """The default experiment on the present pictures; on the default one for other inputs.

    Raises ``LabError`` where nobody has the pictures: an update that was opened is all there is of them.
    """
    from lab import Experiment

    default = Experiment()
    start = Experiment(dataset=present.dataset) if present.modality == default.modality else default
    start.dataset.check_available(start.batch_size, start.size)
    return start


def _words(grid: Grid) -> dict[str, Any]:
    axes = {"down": grid.down, "across": grid.across}
    told = {name: {"title": axis.title, "values": [words for words, _ in axis.values]} for name, axis in axes.items()}
    return {"name": grid.name, "question": grid.question} | told


def _told(place: Place, cell: Cell | None) -> dict[str, Any]:
    told = {"row": place[0], "column": place[1], "known": cell is not None}
    if cell is None:
        return told
    return told | {"verdict": cell.verdict, "place": cell.place, "score": cell.score, "seconds": cell.seconds}


def _link(grid: Grid, place: Place) -> str:
    from lab.experiments import links

    return links.write(grid.experiment(*place), covered=True)
