"""Convergence: objective and main measure of every kept frame, or what was read off so far; tied to the frame shown."""

from __future__ import annotations

from widgets.views.base import View, script, style


class Curve(View):
    """Draws what the film holds; a click or a drag shows the frame under the pointer."""

    _esm = script("wall", "readings", "curve")
    _css = style("curve")
