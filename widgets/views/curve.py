"""Convergence: objective and PSNR of every kept frame, tied to the frame shown."""

from __future__ import annotations

from widgets.views.base import View, script, style


class Curve(View):
    """Draws what the film holds; a click or a drag shows the frame under the pointer."""

    _esm = script("curve")
    _css = style("curve")
