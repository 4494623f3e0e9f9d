"""Two runs side by side, or a row of them: one clock, one seed, one difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from widgets.door.messages import Message
from widgets.form.admission import edited
from widgets.form.contrasts import chosen, contrasts
from widgets.playback.playback import frame_data, image_bytes, plain, round_data
from widgets.run.comparison import Comparison
from widgets.views.base import View, script, style

if TYPE_CHECKING:
    from lab import Experiment

PRESETS = ("cosine_trained", "euclidean_trained")
"""The paper's own pair, which differs in the loss alone: on an untrained network both succeed."""
EARLY = {"status": "waiting", "message": "The lab is still loading; both runs begin as soon as it is there."}

SECRET = ("images", "values", "inputs", "words", "count", "height", "width", "alt", "one", "main", "measures")
"""What the browser needs of a round to draw its secret, and to tell the scores of its sides."""


class Compare(View):
    """Shows a ``Comparison``; which control differs, and between which values, comes from the form."""

    _esm = script("compare")
    _css = style("compare")
    contrasts = traitlets.List().tag(sync=True)
    shown = traitlets.Dict(help="title of the control that differs, and the words of its values").tag(sync=True)
    secrets = traitlets.List().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, film: Any, session: Any) -> None:
        self.session, self.comparison = session, Comparison(session)
        self._early = False  # whether the presets were asked for while the lab was loading
        super().__init__(film)
        session.observe(self._offer, names=["experiment"])
        self.comparison.observe(self._tell_state, names=["status", "message"])
        self.comparison.observe(self._tell_secrets, names=["secrets"])
        self.comparison.follow(self._send_moment)
        self._offer()

    def _offer(self, change: Any = None) -> None:
        if self.session.experiment is None:
            return
        self.contrasts = contrasts(self.session.experiment)
        if self._early:
            self._vary_presets()

    def _tell_state(self, change: Any = None) -> None:
        self.state = {"status": self.comparison.status, "message": self.comparison.message}

    def _tell_secrets(self, change: Any = None) -> None:
        rounds = map(round_data, self.comparison.secrets)
        self.secrets = [{name: told[name] for name in SECRET if name in told} for told in rounds if "unknown" not in told]

    def _send_moment(self, moment: Any) -> None:
        sides = [frame_data(frame) for frame in moment]
        self.send({"type": "moment", "id": moment[0].id, "sides": sides}, buffers=[image_bytes(f) for f in moment])

    def _hear(self, message: Message) -> None:
        if message.kind == "compare" and self.session.wanted is not None:
            self._vary(self.session.wanted, message.text("path"), message.content.get("values"))
        elif message.kind == "preset":
            self._vary_presets()
        elif message.kind == "stop":
            self._early = False
            self.comparison.stop()
            self._tell_state()
        elif message.kind == "drawn" and (drawn := message.whole("id")) is not None:
            self.comparison.acknowledge(drawn)

    def _vary(self, experiment: Experiment, path: str, values: Any) -> None:
        """The experiment with each of these values, if there are such a control and such values."""
        from lab import LabError

        found = chosen(experiment, path, values)
        if found is None:
            return
        contrast, labels = found
        try:
            experiments = [edited(experiment, ((path, value),)) for value in values]
        except LabError as error:
            self.state = {"status": "failed", "message": str(error)}
            return
        self._begin(contrast["title"], labels, experiments)

    def _vary_presets(self) -> None:
        """The pair; a request that comes too early is made as soon as the lab is loaded."""
        self._early = self.session.experiment is None
        if self._early:
            self.state = EARLY
            return
        from lab.experiments.presets import PRESETS as LISTING
        from widgets.form.differences import differences

        experiments = [LISTING[name].experiment for name in PRESETS]
        (difference,) = [each for each in differences(*experiments) if each.path == "distance"]
        self._begin(difference.title, [difference.before, difference.after], experiments)

    def _begin(self, title: str, labels: list[str], experiments: list[Any]) -> None:
        self.shown = plain({"title": title, "labels": labels})
        self.send({"type": "clear"})
        self.comparison.start(experiments)
