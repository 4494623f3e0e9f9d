"""The page: a session, its film, and the views that show it."""

from __future__ import annotations

from typing import Any

from widgets.film import Film
from widgets.session import Session
from widgets.views.chips import Chips
from widgets.views.conditions import Conditions
from widgets.views.curve import Curve
from widgets.views.guess import Guess
from widgets.views.page import Page
from widgets.views.panel import Panel
from widgets.views.rail import Rail
from widgets.views.secret import Secret
from widgets.views.sent import Sent
from widgets.views.theatre import Theatre
from widgets.views.transport import Transport


class LabPage(Page):
    """The whole lab as one widget; ``Lab()`` at the end of a cell shows it."""

    def __init__(self, session: Session | None = None) -> None:
        self.session = session or Session()
        film = Film(self.session)
        panel = Panel(film, self.session)
        super().__init__(
            secret=Secret(film),
            sent=Sent(film),
            theatre=Theatre(film),
            transport=Transport(film, self.session),
            guess=Guess(film, self.session),
            chips=Chips(film, self.session),
            rail=Rail(film, self.session),
            curve=Curve(film),
            panel=panel,
            conditions=Conditions(film, panel),
        )

    def close(self) -> None:
        """Stop the worker, then close the views."""
        self.session.close()
        super().close()


def Lab(**changes: Any) -> LabPage:  # noqa: N802  (reads like the thing it shows)
    """The lab's page, with changes to the default experiment as plain data: ``Lab(seed=3)``."""
    return LabPage(Session(changes))
