"""The guided story: scenes that set the page, ask first, show then, and end in one sentence."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import traitlets

from widgets.door.messages import Message
from widgets.door.sentences import LOADING, answer
from widgets.views.base import View, script, style

if TYPE_CHECKING:
    from lab import Experiment


class Guide(View):
    """Scenes in order; ``go`` takes the experiment of one of them, ``run`` attacks it."""

    _esm = script("guide")
    _css = style("guide")
    scenes = traitlets.List(help="name and words of each scene (``lab.course.scenes``)").tag(sync=True)
    refused = traitlets.Unicode("", help="why a scene could not be set").tag(sync=True)

    def __init__(self, film: Any, session: Any) -> None:
        from lab.course.scenes.base import in_order
        from lab.options.catalogue import entries

        self.session = session
        self._told = in_order(entries("scene"))
        super().__init__(film, scenes=[{"name": name} | _words(told) for name, told in self._told.items()])

    def _hear(self, message: Message) -> None:
        if (name := message.text("go")) in self._told:
            self._set(self._told[name].link)
        elif message.truth("run"):
            self.session.start()

    def _set(self, link: str) -> None:
        """The scene's experiment, untouched."""
        if self.session.wanted is None:
            self.session.once_loaded(lambda _: _experiment(link))
            self.refused = LOADING
            return
        wanted = _experiment(link)
        again = wanted == self.session.wanted
        self.refused = answer(lambda: self.session.reset() if again else self.session.show(wanted))


def _experiment(link: str) -> Experiment:
    from lab.experiments import links

    return links.read(link).experiment


def _words(told: Any) -> dict[str, Any]:
    """What the page says of a scene: all but what only tests ask for."""
    return {name: value for name, value in asdict(told).items() if name not in ("place", "expected", "link")}
