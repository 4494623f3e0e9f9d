"""The page: where each view stands, and the landmarks around them."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

from widgets.views.base import FOLDER, View, delivered, script, style

THEME = Path(FOLDER.parent / "theme.css")


class Page(View):
    """Places the views it is given in a responsive, landmarked page; carries the shared style sheet.

    ``whole`` adds what a page of its own needs: title, introduction and source. ``lessons`` says that the server
    of this page has the lessons, too.
    """

    _esm = script("page")
    _css = delivered(THEME) + style("page", "projector")
    whole = traitlets.Bool(False).tag(sync=True)
    lessons = traitlets.Bool(False).tag(sync=True)
    guide = anywidget.WidgetTrait().tag(sync=True)
    secret = anywidget.WidgetTrait().tag(sync=True)
    shield = anywidget.WidgetTrait().tag(sync=True)
    sent = anywidget.WidgetTrait().tag(sync=True)
    server = anywidget.WidgetTrait().tag(sync=True)
    attacker = anywidget.WidgetTrait().tag(sync=True)
    ending = anywidget.WidgetTrait().tag(sync=True)
    transport = anywidget.WidgetTrait().tag(sync=True)
    guess = anywidget.WidgetTrait().tag(sync=True)
    chips = anywidget.WidgetTrait().tag(sync=True)
    presets = anywidget.WidgetTrait().tag(sync=True)
    compare = anywidget.WidgetTrait().tag(sync=True)
    landscape = anywidget.WidgetTrait().tag(sync=True)
    plane = anywidget.WidgetTrait().tag(sync=True)
    doctor = anywidget.WidgetTrait().tag(sync=True)
    controls = anywidget.WidgetTrait().tag(sync=True)
    curve = anywidget.WidgetTrait().tag(sync=True)
    conditions = anywidget.WidgetTrait().tag(sync=True)
    panel = anywidget.WidgetTrait().tag(sync=True)
    share = anywidget.WidgetTrait().tag(sync=True)
