"""What do you see? Eight suspects, one secret, and the picture slowly coming out of the numbers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from widgets.door.messages import Message
from widgets.form.admission import change, edited
from widgets.views.base import View, script, style

if TYPE_CHECKING:
    from lab import Experiment
    from lab.experiments.edits import Patch


class Guess(View):
    """Asks which of eight pictures the phone trained on; the secret is drawn anew for each game."""

    _esm = script("guess")
    _css = style("guess")

    def __init__(self, film: Any, session: Any) -> None:
        self.session = session
        super().__init__(film)

    def _hear(self, message: Message) -> None:
        if message.kind != "begin":
            return
        if self.session.wanted is None or self.session.experiment is None:
            self.session.once_loaded(lambda experiment: edited(experiment, _another_secret(experiment)))
        else:
            change(self.session, _another_secret(self.session.wanted))


def _another_secret(experiment: Experiment) -> tuple[Patch, ...]:
    """One picture of the gallery, but not the present one, which the reader has seen."""
    from lab.client.datasets.gallery import NAMES

    present = getattr(experiment.dataset, "first", "")
    return (("batch_size", 1), ("picture", random.SystemRandom().choice([name for name in NAMES if name != present])))
