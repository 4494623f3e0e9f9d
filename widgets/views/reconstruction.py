"""The server's card: the picture that comes out of the numbers, and the verdict."""

from __future__ import annotations

from widgets.views.base import View, script, style


class Reconstruction(View):
    """Draws the frame shown; the verdict is a polite live region."""

    _esm = script("reconstruction")
    _css = style("reconstruction")
