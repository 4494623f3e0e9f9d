"""The page: a session, its film, and all the views that show it."""

from __future__ import annotations

import os
from typing import Any

from widgets.form.part_names import EVERYTHING
from widgets.pages.attended import Attended
from widgets.pages.parts import views
from widgets.playback.playback import Playback
from widgets.run import opening
from widgets.run.session import Session
from widgets.surroundings import LESSONS_HERE


class LabPage(Attended):
    """The whole lab as one widget."""

    def __init__(self, session: Session | None = None, *, recorded: bool = True) -> None:
        """``recorded`` plays the recording of the default experiment until the first live run."""
        self.session = session or Session()
        film = Playback(self.session, recorded=recorded, reads_address=True)
        shown = views(film, self.session, EVERYTHING)
        shown["controls"].set_trait("at_once", True)
        super().__init__(film, covered=False, whole=True, lessons=LESSONS_HERE in os.environ, **shown)


class Lab(LabPage):
    """The lab's page; ``Lab()`` at the end of a cell shows it, ``Lab(seed=3)`` with a change to the default experiment."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(Session(changes), recorded=not changes)

    @staticmethod
    def from_link(link: str) -> LabPage:
        """The page as a link says: its query, with or without the address in front of it."""
        return LabPage(Session(opening.from_link(link)), recorded=False)
