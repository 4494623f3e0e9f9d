"""When the division fails: every condition in words, and whether it applies here."""

from __future__ import annotations

from typing import Any

import traitlets

from widgets.views.base import View, script, style


class Conditions(View):
    """Lists the conditions that the panel's derivation found."""

    _esm = script("conditions")
    _css = style("conditions")
    conditions = traitlets.List().tag(sync=True)

    def __init__(self, film: Any, panel: Any) -> None:
        super().__init__(film)
        traitlets.dlink((panel, "algebra"), (self, "conditions"), lambda algebra: algebra.get("conditions", []))
