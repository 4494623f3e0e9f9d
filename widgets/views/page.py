"""The page: where each view stands, and the landmarks around them."""

from __future__ import annotations

from pathlib import Path

import anywidget

from widgets.views.base import FOLDER, script, style

THEME = Path(FOLDER.parent / "theme.css")


class Page(anywidget.AnyWidget):
    """Places the views in a responsive, landmarked page; carries the shared style sheet."""

    _esm = script("page")
    _css = THEME.read_text(encoding="utf-8") + style("page")
    secret = anywidget.WidgetTrait().tag(sync=True)
    sent = anywidget.WidgetTrait().tag(sync=True)
    theatre = anywidget.WidgetTrait().tag(sync=True)
    transport = anywidget.WidgetTrait().tag(sync=True)
    guess = anywidget.WidgetTrait().tag(sync=True)
    chips = anywidget.WidgetTrait().tag(sync=True)
    rail = anywidget.WidgetTrait().tag(sync=True)
    curve = anywidget.WidgetTrait().tag(sync=True)
    conditions = anywidget.WidgetTrait().tag(sync=True)
    panel = anywidget.WidgetTrait().tag(sync=True)
