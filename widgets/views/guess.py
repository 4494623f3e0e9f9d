"""Guess first: eight suspects, one secret, and the picture slowly coming out of the numbers."""

from __future__ import annotations

import random
from typing import Any

from widgets.controls import change
from widgets.views.base import View, script, style


class Guess(View):
    """Asks which of eight pictures the phone trained on; the secret is drawn anew for each game."""

    _esm = script("guess")
    _css = style("guess")

    def __init__(self, film: Any, session: Any) -> None:
        self.session = session
        super().__init__(film)
        self.on_msg(self._receive)

    def _receive(self, _: Any, content: Any, buffers: Any) -> None:
        if isinstance(content, dict) and content.get("type") == "begin" and self.session.experiment is not None:
            change(self.session, (("batch_size", 1), ("picture", self._secret())))

    def _secret(self) -> str:
        """A picture of the gallery, but not the present one, which the reader has seen."""
        from lab.datasets.gallery import NAMES

        present = getattr(self.session.experiment.dataset, "first", "")
        return random.SystemRandom().choice([name for name in NAMES if name != present])
