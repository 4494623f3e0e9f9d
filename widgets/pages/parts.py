"""The parts that a page is put together from: which there are, and the views behind them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from widgets.form.part_names import TABS
from widgets.playback.playback import Playback
from widgets.views.attacker import Attacker
from widgets.views.base import View
from widgets.views.chips import Chips
from widgets.views.compare import Compare
from widgets.views.conditions import Conditions
from widgets.views.controls import Controls
from widgets.views.curve import Curve
from widgets.views.doctor import Doctor
from widgets.views.ending import Ending
from widgets.views.guess import Guess
from widgets.views.guide import Guide
from widgets.views.landscape import Landscape
from widgets.views.loop import Loop
from widgets.views.panel import Panel
from widgets.views.plane import Plane
from widgets.views.presets import Presets
from widgets.views.reconstruction import Reconstruction
from widgets.views.secret import Secret
from widgets.views.share import Share
from widgets.views.shield import Shield
from widgets.views.transport import Transport

PARTS = {
    "guide": Guide,
    "secret": Secret,
    "shield": Shield,
    "sent": Loop,
    "server": lambda film, session: Reconstruction(film),
    "attacker": Attacker,
    "ending": Ending,
    "transport": Transport,
    "guess": Guess,
    "chips": Chips,
    "presets": Presets,
    "compare": Compare,
    "landscape": Landscape,
    "plane": Plane,
    "doctor": Doctor,
    "controls": Controls,
    "curve": lambda film, session: Curve(film),
    "share": Share,
}
"""Name of a part, and what makes its view of a film and a session; ``conditions`` and the tabs come beside them."""


def views(film: Playback, session: Any, shows: Collection[str]) -> dict[str, View]:
    """The views of the parts named, by part; the tabs among them stand together in ``panel``."""
    made: dict[str, View] = {name: make(film, session) for name, make in PARTS.items() if name in shows}
    tabs = [name for name in TABS if name in shows]
    if tabs or "conditions" in shows:
        panel = Panel(film, session, tabs)
        made |= {"panel": panel} if tabs else {}
        made |= {"conditions": Conditions(film, panel)} if "conditions" in shows else {}
    return made
