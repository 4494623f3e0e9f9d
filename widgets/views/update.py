"""The card between client and server: only numbers."""

from __future__ import annotations

from widgets.views.base import View, script, style


class Update(View):
    """Bars of each layer's length and a wall of the real numbers that were sent."""

    _esm = script("update")
    _css = style("update")
