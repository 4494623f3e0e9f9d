"""The widgets of a page as data in its HTML: its scripts draw it at once, and ask for nothing that is there already."""

from __future__ import annotations

from typing import Any

from widgets.door.messages import Listener
from widgets.views.base import script
from widgets.views.page import Page

MIME = "application/vnd.gradlab.page+json"
"""Read by ``start.js`` of the page's template."""
SHARED = script()
"""What the scripts of all our widgets begin with: it stands in the page once."""


def written(page: Page) -> dict[str, Any]:
    """The page's id, and by id the state and the buffers of each of its widgets as Jupyter embeds them, ``shared`` apart."""
    models = Page.get_manager_state(widgets=widgets(page))["state"]
    for widget in widgets(page):
        widget.news = set()
    return {"page": page.model_id, "shared": SHARED, "models": {id: _kept(model) for id, model in models.items()}}


def catch_up(page: Page) -> None:
    """Tell the browser of a page that was written what has changed since."""
    for widget in widgets(page):
        if widget.news:
            widget.send_state(widget.news)


def widgets(page: Page) -> list[Listener]:
    """The page and all that it is put together from."""
    parts = [getattr(page, name) for name in page.trait_names(sync=True)]
    return [page, *(part for part in parts if isinstance(part, Listener))]


def _kept(model: dict[str, Any]) -> dict[str, Any]:
    own = {"_esm": model["state"]["_esm"].removeprefix(SHARED)}
    return {"state": model["state"] | own, "buffers": model.get("buffers", [])}
