"""The doctor: attacks that go wrong, why, and the one change that mends each; of an update that was opened, what it is."""

from __future__ import annotations

from typing import Any

import traitlets

from widgets.door.messages import Message
from widgets.views.base import View, script, style


class Doctor(View):
    """Shows a failure of ``lab.experiments.failures`` as the session's experiment, and its mend at one click."""

    _esm = script("doctor")
    _css = style("doctor")
    cases = traitlets.List(help="name and title of each failure").tag(sync=True)
    case = traitlets.Dict(help="the failure that the present experiment is, or was mended from").tag(sync=True)
    diagnosis = traitlets.List(help="what there is to say of an update that was opened, a sentence each").tag(sync=True)

    def __init__(self, film: Any, session: Any) -> None:
        self.session = session
        super().__init__(film)
        session.observe(self._recognise, names=["experiment"])
        session.observe(self._examined, names=["diagnosis"])
        self._recognise()

    def _recognise(self, change: Any = None) -> None:
        """Whether the present experiment is one of the failures, before or after its mend."""
        if self.session.experiment is None:
            return
        from lab.experiments.failures import FAILURES

        if not self.cases:
            self.cases = [{"name": failure.name, "title": failure.title} for failure in FAILURES.values()]
        present, known = self.session.experiment, self.case.get("name")
        found = next((failure for failure in FAILURES.values() if failure.experiment == present), None)
        if found is not None:
            self.case = {
                "name": found.name,
                "title": found.title,
                "cause": found.cause,
                "change": found.change,
                "mended": False,
            }
        elif known is not None and FAILURES[str(known)].mended == present:
            self.case = self.case | {"mended": True}
        else:
            self.case = {}

    def _examined(self, change: Any) -> None:
        self.diagnosis = list(change.new)

    def _hear(self, message: Message) -> None:
        """Run the failure of that name, or the mended experiment of the one shown."""
        if self.session.experiment is None:
            return
        from lab.experiments.failures import FAILURES

        if message.text("show") in FAILURES:
            self._run(FAILURES[message.text("show")].experiment)
        elif message.truth("mend") and self.case:
            self._run(FAILURES[str(self.case["name"])].mended)

    def _run(self, experiment: Any) -> None:
        self.session.show(experiment)
        self.session.start()
