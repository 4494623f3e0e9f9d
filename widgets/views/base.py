"""What a view is: one Python class, one script beside it, and the film that all of them show."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import anywidget

from widgets.door.messages import Listener

FOLDER = Path(__file__).parent
COMMENT = re.compile(r"^ *(?://.*|/\*.*\*/)\n", re.MULTILINE)
"""A line that is a comment and nothing else."""

DRAWS = "export default { render: async (given) => render({ ...given, film: await filmOf(given.model, given.host) }) };\n"
"""How a view's script ends: its ``render`` gets what anywidget gives, and the film."""


@cache
def delivered(file: Path) -> str:
    """A script or style sheet as browsers get it: comments are for whoever opens the repository."""
    return COMMENT.sub("", file.read_text(encoding="utf-8"))


def script(*names: str) -> str:
    """The view's own scripts behind the helpers that all use: ``common.js``, ``meanings.js``, and how inputs are drawn."""
    files = [FOLDER / "common.js", FOLDER / "meanings.js", *sorted((FOLDER / "shown").glob("*.js"))]
    own = [FOLDER / f"{name}.js" for name in names]
    return "\n".join([*map(delivered, (*files, *own)), *([DRAWS] if own else [])])


def style(*names: str) -> str:
    """The style sheets of these views, one after another."""
    return "\n".join(delivered(FOLDER / f"{name}.css") for name in names)


class View(Listener):
    """Base of all views: it draws the film it is given and knows nothing of the session behind it."""

    film = anywidget.WidgetTrait().tag(sync=True)

    def __init__(self, film: anywidget.AnyWidget, **traits: Any) -> None:
        super().__init__(film=film, **traits)


class ExperimentView(View):
    """Base of the views that tell of the session's present experiment, and tell it anew whenever that changes."""

    def __init__(self, film: anywidget.AnyWidget, session: Any) -> None:
        self.session = session
        super().__init__(film)
        session.observe(self._show, names=["experiment"])
        self._show()

    def _show(self, change: Any = None) -> None:
        """Tell of ``session.experiment``, which is None before the lab is loaded."""
        raise NotImplementedError
