"""The server's card: the picture that comes out of the numbers, and the verdict."""

from __future__ import annotations

from widgets.views.base import View, script, style


class Theatre(View):
    """Draws the frame shown; the verdict is a polite live region."""

    _esm = script("theatre")
    _css = style("theatre")
