"""What stays of a live view where no kernel answers: a sentence and a picture, in an output of their own below it.

A notebook that is opened again, exported or printed has lost the view, whose pictures travel as messages. This output is
brought up to date as the run goes on and kept in the file; the view hides it on the screen while its kernel answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from widgets.still.figures import Figure, kept
from widgets.surroundings import behind_voila

if TYPE_CHECKING:
    from widgets.run.session import Session

TOLD = ("ready", "paused", "finished", "failed")
"""When a session stands still, so that a picture of it is worth keeping."""
GREY = 128
RUN_IT = "Run the notebook to bring the live view back."


class Still:
    """Follows a session, and shows what it showed last."""

    def __init__(self, session: Session, *, covered: bool = False) -> None:
        """``covered`` keeps the secret back until a run has ended: the reader is to guess it."""
        self.session, self.covered, self.handle = session, covered, None
        self.shown = kept(None, f"A live view of the lab, kept before it had loaded. {RUN_IT}")
        if not behind_voila():
            session.observe(self._follow, names=["status"])

    def show(self) -> None:
        """Put the output below the present one, where there is a file to keep it."""
        from IPython.display import display

        if not behind_voila():
            self.handle: Any = display(self.shown, display_id=True)

    def _follow(self, change: Any) -> None:
        if change.new in TOLD:
            self.shown = _of(self.session, covered=self.covered)
            if self.handle is not None:
                self.handle.update(self.shown)


def _of(session: Session, *, covered: bool) -> Figure:
    """The run so far, secret beside reconstruction; before it, the round as it stands."""
    from widgets.files.exports import small
    from widgets.run.history import title

    if session.experiment is None or not session.round_info:
        return kept(None, f"A live view of the lab. {session.message} {RUN_IT}")
    what = title(session.experiment)
    if "secret" in session.hidden:
        return kept(None, f"A live view of the lab ({what}), its secret hidden. {session.message} {RUN_IT}")
    if "tile" not in session.round_info:
        return kept(None, f"A live view of the lab ({what}). {session.message} {RUN_IT}")
    if not session.frames:
        secret = session.round_info["tile"]
        picture = small(secret if not covered else secret * 0 + GREY)
        return kept(
            picture, f"{'What the server begins with' if covered else 'The secret'}, not attacked yet ({what}). {RUN_IT}"
        )
    last = session.frames[-1]
    sentence = (
        f"Secret and reconstruction after {last.iteration} of {session.iterations} iterations ({what}): {last.verdict.lower()}."
    )
    return kept(session.export("png"), f"{sentence} {session.message} {RUN_IT}")
