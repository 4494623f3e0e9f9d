"""A page with a session of its own: it ends with the page, and what it showed stays where the page is gone."""

from __future__ import annotations

from typing import Any

from widgets.pages.written import MIME, catch_up, written
from widgets.playback.playback import Playback
from widgets.run.session import Session
from widgets.still.outputs import Still
from widgets.surroundings import behind_voila
from widgets.views.page import Page


class Attended(Page):
    """A page that owns its session; in an output of its own below it a sentence and a picture are kept."""

    session: Session

    def __init__(self, film: Playback, *, covered: bool = False, **views: Any) -> None:
        """``session`` is there by now; ``covered`` keeps the secret out of what stays until a run has ended."""
        super().__init__(film, **views)
        self.still = Still(self.session, covered=covered)
        self.on_msg(self._answer)

    def close(self) -> None:
        """Stop the worker, then close the views; a page that was refused has no session yet."""
        if hasattr(self, "session"):
            self.session.close()
        super().close()

    def _ipython_display_(self) -> None:
        """The live view, and below it what is left of it where no kernel answers."""
        from IPython.display import display

        data, metadata = super()._repr_mimebundle_() or ({}, {})
        if self.whole and behind_voila():
            data = data | {MIME: written(self)}
        display(data, metadata=metadata, raw=True)
        self.still.show()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """For readers that know no widgets, the still picture beside the view."""
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return data | {"text/html": self.still.shown._repr_html_()}, metadata

    def _answer(self, _: Any, content: Any, buffers: Any) -> None:
        """A view that has just been drawn asks whether anybody is there."""
        if isinstance(content, dict) and content.get("type") == "hello":
            self.send({"type": "here"})
            catch_up(self)
