"""A page with a session of its own: it ends with the page."""

from __future__ import annotations

from widgets.session import Session
from widgets.views.page import Page


class Attended(Page):
    """A page that owns its session."""

    session: Session

    def close(self) -> None:
        """Stop the worker, then close the views; a page that was refused has no session yet."""
        if hasattr(self, "session"):
            self.session.close()
        super().close()
