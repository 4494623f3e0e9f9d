"""The session: one experiment, one worker thread, and what the page may ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from widgets.door.sentences import LOADING
from widgets.readouts.layers_inverted import failed, waiting
from widgets.run import opening
from widgets.run.history import PastRun, spread
from widgets.run.requests import Step
from widgets.run.runner import INTERVAL_S, Runner
from widgets.run.worker import Valve

if TYPE_CHECKING:
    from lab import Experiment
    from lab.experiments.edits import Patch


class Session(Runner):
    """All that a page may ask for. Every method returns at once; what comes of it is told by the traits."""

    def start(self) -> None:
        """Run to the end; from the beginning where the last run is over. Idempotent, queued while loading."""
        self._go(float("inf"))

    def step(self, count: int = 1) -> None:
        """Do ``count`` iterations, then pause."""
        self._go(max(1, int(count)))

    def resume(self) -> None:
        """Go on after a pause."""
        self.start()

    def stop(self) -> None:
        """End the run and keep what was found."""
        self._start_wanted = 0.0
        if self.status in ("running", "paused") and self._publisher is not None:
            self._valve.stop()

    def edit(self, path: str, value: Any) -> str:
        """Make one change; the answer is empty, or the sentence that says why not."""
        return self.change(lambda experiment: _patched(experiment, [(path, value)]))

    def take(self, step: Step) -> None:
        """Change the experiment last asked for; ``undo`` takes it back. Raises what the step raises, and nothing is lost."""
        if self.wanted is not None and self._wishes.take(step):
            self._prepare()

    def show(self, experiment: Experiment) -> None:
        """Take another experiment."""
        self.take(lambda _: experiment)

    def once_loaded(self, make: Callable[[Experiment], Experiment]) -> None:
        """While the lab is loading: begin with what ``make`` makes of the first experiment. The last one asked for counts."""
        self._early = make
        self._grant()

    def _opened(self, opened: opening.Opening, valve: Valve) -> None:
        super()._opened(opened, valve)
        self._grant()

    def _grant(self) -> None:
        """Make the change asked for early, once it is known of what: a link may still be on its way."""
        if self._early is not None and self.wanted is not None:
            early, self._early = self._early, None
            self.set_trait("message", self._grant_one(early, self.wanted) or self.message)

    def _grant_one(self, early: Step, experiment: Experiment) -> str:
        """Answers like ``edit``. The wish is asked once, here: it may have something to tell, and steps must be pure."""
        from lab import LabError

        try:
            self.show(early(experiment))
        except LabError as error:
            return str(error)
        return ""

    def open_link(self, query: str) -> None:
        """Take what a link says: its experiment, and what it hides. What is wrong in it becomes a notice."""
        source, valve = opening.from_link(query), self._drop()
        self._wishes.begin(None)
        self._worker.submit(lambda: self._open(source, valve))

    def restore(self, number: int) -> None:
        """Show a past run again: its experiment, its frames, its verdict."""
        past = self.past.find(number)
        if past is not None and self.wanted is not None:
            self.show_run(past)

    def show_run(self, past: PastRun) -> None:
        """Show a run that is over, of this session or from a file; ``undo`` brings the present experiment back."""
        self._wishes.take(lambda _: past.experiment)
        self._prepare(past)

    def present(self) -> PastRun | None:
        """The run shown, as it stands; None before its first frame."""
        frames = spread(self.frames)
        return PastRun(0, self.experiment, frames, self.message, self.iterations) if frames else None

    def export(self, kind: str) -> bytes:
        """The run shown as a file: "png", "gif" or "json". Raises ``LabError`` before there is one."""
        from lab import LabError
        from widgets.files.exports import export

        run = self.present()
        if run is None or self._round is None:
            raise LabError("There is no run to save yet; press Attack it live first.")
        return export(kind, run, self._round)

    def open_run(self, data: bytes) -> str:
        """Show the run in a file that ``export("json")`` made. Answers like ``edit``."""
        from lab import LabError
        from widgets.files.run_file import read

        if self.wanted is None:
            return LOADING
        try:
            self.show_run(read(data))
        except LabError as error:
            return str(error)
        return ""

    async def finish(self) -> None:
        """Run to the end as fast as it goes, and wait for it: for a notebook that nobody watches."""
        self.pace_seconds = 0.0
        self.start()
        while self.status not in ("finished", "failed") or self._start_wanted:
            await asyncio.sleep(INTERVAL_S)

    def undo(self) -> None:
        """Take the last change back."""
        if self._wishes.undo():
            self._prepare()

    def upload(self, data: bytes, name: str) -> str:
        """Take the reader's own picture (bytes of a picture file); it stays in memory. Answers like ``edit``."""

        def with_own_picture(experiment: Experiment) -> Experiment:
            from lab.client.datasets.inline import Inline

            own = Inline.from_bytes([(data, name)], experiment.size)
            return _patched(experiment, [("dataset", own), ("batch_size", 1)])

        return self.change(with_own_picture)

    def change(self, step: Step) -> str:
        """As ``take``, and answers like ``edit``."""
        if self.wanted is None:
            return LOADING
        from lab import LabError

        try:
            self.take(step)
        except LabError as error:
            return str(error)
        return ""

    def algebra(self, row: int | None = None) -> dict[str, Any] | None:
        """What the algebra panel shows; None while nothing is loaded."""
        from widgets.readouts.algebra import algebra

        return None if self._round is None else algebra(self.experiment, self._round, row)

    def descend(self) -> None:
        """Undo the layers of the present round one by one; ``descent`` follows. Waits for a running attack."""
        if self.status == "loading" or self._round is None:
            self.descent = failed(LOADING)
        elif self.status == "paused":
            self.descent = failed("The attack is paused and holds the worker; resume or reset it, then try again.")
        elif self.descent.get("status") not in ("waiting", "running"):
            running = self.status == "running"
            self.descent = waiting("It begins as soon as the attack has ended." if running else "Solving the topmost layer.")
            self._way_down = valve = Valve()
            experiment, attacked = self.experiment, self._round
            self._worker.submit(lambda: self._go_down(experiment, attacked, valve))

    def borrow(self, job: Callable[[], None], valve: Valve) -> None:
        """Let the one worker do something else, after what it does now; ``close`` stops the valve that it heeds.

        The job must catch its own exceptions.
        """
        self._borrowed = valve
        self._worker.submit(job)

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return self._wishes.can_undo


def _patched(experiment: Experiment, patches: Sequence[Patch]) -> Experiment:
    """``lab.experiments.edits.patched``, imported where the lab is loaded."""
    from lab.experiments.edits import patched

    return patched(experiment, patches)
