"""The client's card: the private picture, behind frosted glass at will."""

from __future__ import annotations

from widgets.views.base import View, script, style


class Secret(View):
    """Shows the private picture; hiding it is a matter of the browser alone."""

    _esm = script("secret")
    _css = style("secret")
