"""Cells computed in the background: one at a time, while nothing else wants the worker."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from widgets.landscape.cells import Cell, computed
from widgets.run import allowance
from widgets.run.worker import Gate

if TYPE_CHECKING:
    from lab import Experiment

Place = tuple[int, int]
BUSY = ("loading", "running", "paused")


class Filling:
    """Whoever attacks, changes something or leaves comes first: the cell under way is begun anew afterwards."""

    def __init__(self, session: Any, tell: Callable[[Place, Cell | None, int], None], failed: Callable[[str], None]) -> None:
        """``tell`` gets each place, its cell (None where there can be none) and how many are still to come.

        ``failed`` gets the sentence that says why there is none.
        """
        self._session, self._tell, self._failed = session, tell, failed
        self._waiting: list[tuple[Place, Experiment]] = []
        self._gate = Gate()
        self._computes = False
        session.observe(self._look, names=["status"])

    def begin(self, experiments: list[tuple[Place, Experiment]]) -> None:
        """Compute these, and nothing that was asked for before."""
        self.stop()
        self._waiting = experiments
        self._next()

    def stop(self) -> None:
        """Compute no further cell."""
        self._waiting = []
        self._yield()

    def _look(self, change: Any) -> None:
        if change.new in BUSY:
            self._yield()
        else:
            self._next()

    def _yield(self) -> None:
        self._gate.drop()
        self._computes = False

    def _next(self) -> None:
        if self._computes or not self._waiting or self._session.status in BUSY or self._session.page_is_gone:
            return
        place, experiment = self._waiting[0]
        self._gate, self._computes = Gate(), True
        done = partial(self._done, place)
        self._session.worker.do(partial(_cell, experiment, self._gate), self._gate, partial(self._refused, place), done)

    def _refused(self, place: Place, told: str) -> None:
        self._failed(told)
        self._done(place, None)

    def _done(self, place: Place, cell: Cell | None) -> None:
        self._computes = False
        self._waiting = self._waiting[1:]
        self._tell(place, cell, len(self._waiting))
        self._next()


def _cell(experiment: Experiment, gate: Gate) -> Cell | None:
    """Raises ``LabError`` where it costs more than is allowed."""
    allowance.check(experiment)
    return computed(experiment, lambda: gate.stopped or allowance.spent())
