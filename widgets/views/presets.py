"""Experiments of the papers, each with the item that it stands for and the verdict that it was seen to reach."""

from __future__ import annotations

from typing import Any

import traitlets

from widgets.door.messages import Message
from widgets.views.base import ExperimentView, script, style


class Presets(ExperimentView):
    """Runs a preset at one click; lit is the one that the present experiment is, until something in it is changed."""

    _esm = script("presets")
    _css = style("presets")
    presets = traitlets.List(help="name and title of each").tag(sync=True)
    shown = traitlets.Dict(help="the preset that the present experiment is, in words").tag(sync=True)

    def _show(self, change: Any = None) -> None:
        if self.session.experiment is None:
            return
        from lab.experiments.presets import PRESETS

        if not self.presets:
            self.presets = [{"name": preset.name, "title": preset.title} for preset in PRESETS.values()]
        found = next((preset for preset in PRESETS.values() if preset.experiment == self.session.experiment), None)
        words = ("name", "title", "explanation", "paper_item", "scaled_down")
        self.shown = {word: getattr(found, word) for word in words} | {"expected": found.expected.value} if found else {}

    def _hear(self, message: Message) -> None:
        if self.session.experiment is None:
            return
        from lab.experiments.presets import PRESETS

        if message.text("show") in PRESETS:
            self.session.show(PRESETS[message.text("show")].experiment)
            self.session.start()
