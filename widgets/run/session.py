"""The session: one experiment, one worker thread, and what the page may ask for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from traitlets import Any as AnyTrait
from traitlets import Bool, Dict, Float, HasTraits, Int, List, Unicode

from widgets.door.quiet import TROUBLE
from widgets.door.sentences import LOADING, answer
from widgets.form.costs import Costs
from widgets.readouts.layers_inverted import failed, waiting
from widgets.run import allowance, jobs, opening
from widgets.run.follower import Follower
from widgets.run.frame_buffer import FrameBuffer
from widgets.run.frames import Frame, Post, frame
from widgets.run.history import History, PastRun, renumbered, spread
from widgets.run.pace import PACE_S, progress
from widgets.run.preparing import Preparation, Prepared
from widgets.run.publisher import INTERVAL_S, Publisher
from widgets.run.requests import Step, replacing
from widgets.run.runner import Runner
from widgets.run.worker import Gate, Worker

if TYPE_CHECKING:
    from lab import Experiment, Round
    from lab.evaluation.round import RoundWithoutTruth
    from lab.experiments.edits import Patch
    from lab.experiments.imported_update import ImportedUpdate

READING = "Reading {name}: whose network are these shapes of?"
HEARTBEAT_S = 30.0
"""A page that has been silent for so long is gone: the run pauses."""


class Session(HasTraits):
    """All that a page may ask for. Every method returns at once; what comes of it is told by the traits.

    Only the worker thread computes; every trait changes on the kernel's event loop alone.
    Nothing of torch or lab is imported before the worker has done so in the background.
    """

    status = Unicode("loading", help="loading, ready, running, paused, finished or failed")
    message = Unicode("Getting the lab ready: PyTorch is being loaded.", help="one sentence for the reader")
    hidden = List(Unicode(), help="parts and controls that the reader is not to see")
    only = List(Unicode(), help="the controls that the reader is to see; none of them means all")
    experiment = AnyTrait(None, allow_none=True, help="the present Experiment; None while loading")
    round_info = AnyTrait(None, allow_none=True, help="what left the phone, as plain data")
    costs = AnyTrait(Costs(), help="what the present experiment and those one click away cost")
    device = Unicode("")
    pace_seconds = Float(PACE_S, help="watchable length of a run in seconds; 0 runs as fast as it goes")
    iteration = Int(0)
    iterations = Int(0, help="how many the run takes; 0 where only its states will tell")
    attack_seconds = Float(0.0, help="time that the attack itself took, without the pace")
    iterations_per_second = Float(0.0)
    seconds_left = Float(None, allow_none=True)
    numbers = Dict(default_value=None, allow_none=True, help="scores of the newest frame")
    watches_layers = Bool(False, help="whether somebody looks at the match of each layer")
    watches_loop = Bool(False, help="whether the page shows what each guess would send")
    opened_layer = Unicode("", help="the layer whose numbers are shown unit by unit; empty for none")
    history = List(help="the runs of this session, as the strip shows them")
    source = Unicode("live", help="where the run shown comes from: live, kept (a past run of this session) or file")
    restored = Int(0, help="counts the runs that were shown again")
    descent = Dict(help="the way down through the layers as ``descend`` finds it; empty before")
    diagnosis = List(Unicode(), help="what the doctor says of an update that was opened, a sentence each; empty for others")

    def __init__(
        self, source: opening.Source | dict[str, Any] | None = None, hidden: Sequence[str] = (), only: Sequence[str] = ()
    ) -> None:
        """Begin with what ``source`` says (``widgets.run.opening``), or with changes to the default experiment."""
        super().__init__(hidden=list(hidden), only=list(only))
        self.worker = Worker(self._trouble)
        self.frame_buffer: FrameBuffer[Post, Frame] = FrameBuffer(lambda frame: frame.nbytes)
        self.runner = Runner(self.worker, Publisher(self.frame_buffer, self._frame, self._look), self._ended)
        self.follower = Follower(self.worker)
        self.past = History()
        self._way_down = Gate()  # that of the newest way down; dropped once another experiment is asked for
        self._reading, self._examining = Gate(), Gate()  # those of the file opened last, and of the doctor's look at it
        self._opened_last: ImportedUpdate | None = None
        self._round: Round | RoundWithoutTruth | None = None
        self._last_beat: float | None = None
        self._start_wanted, self._only_if_quick = 0.0, False
        self.preparation = Preparation(self.worker, self._drop, self._opened, self._prepared, self._not_prepared)
        self.preparation.open(source if callable(source) else opening.from_changes(source or {}))

    # --- the run -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Run to the end; from the beginning where the last run is over. Idempotent, queued while loading."""
        self._go(float("inf"))

    def start_if_quick(self) -> None:
        """Run to the end what takes little computing, once it is prepared; what takes long waits to be asked for."""
        if self.status == "loading":
            self._go(float("inf"), only_if_quick=self._only_if_quick or not self._start_wanted)
        elif self.costs.is_quick:
            self.start()

    def step(self, count: int = 1) -> None:
        """Do ``count`` iterations, then pause."""
        self._go(max(1, int(count)))

    def resume(self) -> None:
        """Go on after a pause."""
        self.start()

    def pause(self) -> None:
        """Stop before the next iteration; the run can go on."""
        self._start_wanted = 0.0
        self.runner.pause()
        if self.status == "running":
            self.status = "paused"

    def stop(self) -> None:
        """End the run and keep what was found."""
        self._start_wanted = 0.0
        self.runner.stop()

    def reset(self) -> None:
        """Back to the untouched start of the same experiment."""
        if self.wanted is not None:
            self.preparation.again()

    async def finish(self) -> None:
        """Run to the end as fast as it goes, and wait for it: for a notebook that nobody watches."""
        self.pace_seconds = 0.0
        self.start()
        while self.status not in ("finished", "failed") or self._start_wanted:
            await asyncio.sleep(INTERVAL_S)

    def descend(self) -> None:
        """Undo the layers of the present round one by one; ``descent`` follows. Waits for a running attack."""
        if self.status == "loading" or self._round is None:
            self.descent = failed(LOADING)
        elif self.status == "paused":
            self.descent = failed("The attack is paused and holds the worker; resume or reset it, then try again.")
        elif self.descent.get("status") not in ("waiting", "running"):
            running = self.status == "running"
            self.descent = waiting("It begins as soon as the attack has ended." if running else "Solving the topmost layer.")
            self._way_down = gate = Gate()
            show = partial(self.worker.tell, gate, lambda found: self._tell(descent=found))
            way_down = partial(jobs.go_down, self.experiment, self._round, gate, show)
            self.worker.do(way_down, gate, failed=lambda told: self._tell(descent=failed(told)))

    def close(self) -> None:
        """Stop everything and wait for the worker."""
        self.runner.close()

    # --- what it is of -----------------------------------------------------------------------------

    @property
    def wanted(self) -> Experiment | None:
        """The experiment last asked for, while ``experiment`` is the one last prepared; None while nothing is known yet."""
        return self.preparation.wanted

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return self.preparation.can_undo

    def take(self, step: Step) -> None:
        """Change the experiment last asked for; ``undo`` takes it back. Raises what the step raises, and nothing is lost."""
        self.preparation.take(step)

    def undo(self) -> None:
        """Take the last change back."""
        self.preparation.undo()

    def change(self, step: Step) -> str:
        """As ``take``; the answer is empty, or the sentence that says why not."""
        return LOADING if self.wanted is None else answer(lambda: self.take(step))

    def edit(self, path: str, value: Any) -> str:
        """Make one change by name. Answers like ``change``."""
        return self.change(lambda experiment: _patched(experiment, [(path, value)]))

    def upload(self, data: bytes, name: str) -> str:
        """Take the reader's own picture (bytes of a picture file); it stays in memory. Answers like ``change``."""

        def with_own_picture(experiment: Experiment) -> Experiment:
            from lab.client.datasets.inline import Inline

            own = Inline.from_bytes([(data, name)], experiment.size)
            return _patched(experiment, [("dataset", own), ("batch_size", 1)])

        return self.change(with_own_picture)

    def open_update(self, data: bytes, name: str, answered: Callable[[str], None]) -> str:
        """Attack what a client sent, a file of ``lab.capture``. What runs is ended; ``answered`` gets a sentence, or "".

        Answers at once like ``change``; which network it is of is found out on the worker's thread.
        """
        if self.wanted is None:
            return LOADING
        if self.status in ("running", "paused"):
            self.stop()
        self._reading.drop()
        self._reading = Gate()
        self.message = READING.format(name=name)
        read = partial(jobs.open_update, data, name, self.wanted)

        def refused(told: str) -> None:
            self.message = told
            answered(told)

        def taken(opened: ImportedUpdate) -> None:
            self._opened_last = opened
            self.take(replacing(opened.experiment))
            answered("")

        self.worker.do(read, self._reading, refused, taken)
        return ""

    def show(self, experiment: Experiment) -> None:
        """Take another experiment."""
        self.take(replacing(experiment))

    def once_loaded(self, make: Step) -> None:
        """While the lab is loading: begin with what ``make`` makes of the first experiment. The last one asked for counts."""
        self.message = self.preparation.once_loaded(make) or self.message

    def open_link(self, query: str) -> None:
        """Take what a link says: its experiment, and what it hides. What is wrong in it becomes a notice."""
        self.preparation.open(opening.from_link(query))

    # --- what was found ----------------------------------------------------------------------------

    @property
    def frames(self) -> list[Frame]:
        """The kept frames of the present run."""
        return self.frame_buffer.frames

    @property
    def run(self) -> int:
        """The number of the present run; each experiment that is prepared begins another."""
        return self.frame_buffer.run

    def present(self) -> PastRun | None:
        """The run shown, as it stands; None before its first frame."""
        frames = spread(self.frames)
        return PastRun(0, self.experiment, frames, self.message, self.iterations) if frames else None

    def restore(self, number: int) -> None:
        """Show a past run again: its experiment, its frames, its verdict."""
        past = self.past.find(number)
        if past is not None and self.wanted is not None:
            self.show_run(past)

    def show_run(self, past: PastRun) -> None:
        """Show a run that is over, of this session or from a file; ``undo`` brings the present experiment back."""
        self.preparation.show(past)

    def open_run(self, data: bytes) -> str:
        """Show the run in a file that ``export("json")`` made. Answers like ``change``."""
        from widgets.files.run_file import read

        return LOADING if self.wanted is None else answer(lambda: self.show_run(read(data)))

    def export(self, kind: str) -> bytes:
        """The run shown as a file: "png", "gif" or "json". Raises ``LabError`` before there is one."""
        from lab import LabError
        from widgets.files.exports import export

        run = self.present()
        if run is None or self._round is None:
            begun = self.status in ("running", "paused")
            raise LabError(
                f"There is no run to save yet; {'wait for its first guess' if begun else 'press Attack it live first'}."
            )
        return export(kind, run, self._round)

    def algebra(self, row: int | None = None) -> dict[str, Any] | None:
        """What the algebra panel shows; None while nothing is loaded."""
        from widgets.readouts.algebra import algebra

        return None if self._round is None else algebra(self.experiment, self._round, row)

    # --- who watches -------------------------------------------------------------------------------

    def on_frame(self, callback: Callable[[Frame], None]) -> None:
        """Call back with every published frame."""
        self.frame_buffer.follow(callback)

    def acknowledge(self, frame_id: int) -> None:
        """The browser has drawn this frame; the next may come."""
        self.frame_buffer.acknowledge(frame_id)

    def heartbeat(self) -> None:
        """A page is watching."""
        self._last_beat = time.monotonic()

    @property
    def page_is_gone(self) -> bool:
        """Whether a page has watched, and is silent now."""
        return self._last_beat is not None and time.monotonic() - self._last_beat > HEARTBEAT_S

    # --- what is handed to the worker ----------------------------------------------------------------

    def _go(self, states: float, *, only_if_quick: bool = False) -> None:
        if self.status == "loading":
            self._start_wanted, self._only_if_quick = states, only_if_quick
            if not only_if_quick:
                self.message = "The attack starts by itself as soon as the lab is ready."
        elif self.status in ("finished", "failed"):
            self._start_wanted, self._only_if_quick = states, False
            self.reset()
        else:
            self._begin(states)

    def _begin(self, states: float) -> None:
        assert self._round is not None
        if not self.runner.runs:
            self._last_beat = None if self._last_beat is None else time.monotonic()
        attack = partial(
            jobs.drive,
            self.experiment,
            self._round,
            deliver=partial(self.frame_buffer.post, self.run),
            pace_s=lambda: self.pace_seconds,
            watched=lambda: self.watches_layers or self.watches_loop,
            opened=lambda: self.opened_layer,
        )
        self.runner.go(states, attack)
        self.message = ""
        self.status = "running"

    def _drop(self) -> Gate:
        """End whatever runs, as something else is prepared; returns the gate of that."""
        if self.status in ("running", "paused"):
            self._remember(ended=False)
        self._way_down.drop()
        self._examining.drop()
        self.descent, self.diagnosis = {}, []
        gate = self.runner.drop()
        self.status = "loading"
        if self.wanted is not None:
            self.message = "The client computes its update."
        return gate

    # --- what the worker tells ---------------------------------------------------------------------

    def _opened(self, opened: opening.Opening, told: str) -> None:
        self.hidden = list(dict.fromkeys([*self.hidden, *opened.hidden]))
        self.message = told or self.message

    def _prepared(self, made: Prepared, past: PastRun | None) -> None:
        self.frame_buffer.begin()
        self._round = made.attacked
        attack = made.experiment.attack
        self._tell(
            experiment=made.experiment,
            round_info=made.described,
            costs=made.costs,
            device=made.device,
            iteration=0,
            iterations=getattr(attack, "iterations", 0) * getattr(attack, "restarts", 1),
            attack_seconds=0.0,
            iterations_per_second=0.0,
            seconds_left=None,
            numbers=None,
            source="live",
            message=f"{made.notice} {allowance.note()}".strip(),
            status="ready",
        )
        wanted = self._start_wanted if made.costs.is_quick or not self._only_if_quick else 0.0
        self._start_wanted, self._only_if_quick = 0.0, False
        self._examine(made)
        if wanted:
            self._begin(wanted)
        elif past is not None:
            self._show_again(past)

    def _examine(self, made: Prepared) -> None:
        """Let the doctor look at an update that was opened, before anything else is computed."""
        from lab.evaluation.round import RoundWithoutTruth

        if not isinstance(made.attacked, RoundWithoutTruth):
            return
        last = self._opened_last
        notes = last.notes if last is not None and last.experiment.dataset == made.experiment.dataset else ()
        self._examining = Gate()

        def told(sentences: list[str]) -> None:
            self.diagnosis = [*notes, *sentences]

        examine = partial(jobs.diagnose, made.attacked.observation)
        self.worker.do(examine, self._examining, lambda sentence: told([sentence]), told)

    def _show_again(self, past: PastRun) -> None:
        self.frames[:] = renumbered(past.frames, self.run)
        self.source = "kept" if self.past.find(past.number) else "file"
        last = self.frames[-1]
        self._tell(
            iteration=last.iteration,
            iterations=past.iterations,
            attack_seconds=last.seconds,
            numbers=last.numbers,
            message=past.message,
            status="finished",
        )
        self.restored += 1

    def _not_prepared(self, told: str) -> None:
        self._start_wanted = 0.0
        self._tell(message=told, status=self._at_rest)

    @property
    def _at_rest(self) -> str:
        """The status while nothing runs and nothing is prepared."""
        return "failed" if self._round is None else "ready"

    def _frame(self, newest: Post) -> Frame:
        """Score the newest state; what is told of the run follows it."""
        assert self._round is not None
        shown = frame(self.frame_buffer.number(), self.run, newest, self._round)
        self._tell(**progress(newest, self.pace_seconds), numbers=shown.numbers)
        return shown

    def _look(self) -> None:
        """While it runs: nobody computes for a page that is gone, and who has done the steps asked for is paused."""
        if self.runner.gate.running and self.page_is_gone:
            self.pause()
            self.message = "Paused, because the page was closed or lost its connection."
        elif self.status == "running" and self.runner.stands:
            self.status = "paused"

    def _ended(self, told: str, status: str) -> None:
        self._tell(message=f"{told} {allowance.note()}".strip(), status=status, seconds_left=None)
        self._remember()

    def _remember(self, *, ended: bool = True) -> None:
        """Keep the present run among the past ones, however short, unless it never left its start."""
        if self.iteration > 0:
            self.past.add(self.experiment, self.frames, self.message, self.iterations, ended=ended)
            self.history = self.past.strip()

    def _trouble(self) -> None:
        """An observer has failed: that must not leave the page waiting."""
        self.message = TROUBLE
        if self.status == "loading":
            self.status = self._at_rest

    def _tell(self, **traits: Any) -> None:
        """Change several traits at once."""
        with self.hold_trait_notifications():
            for name, value in traits.items():
                self.set_trait(name, value)


def _patched(experiment: Experiment, patches: Sequence[Patch]) -> Experiment:
    """``lab.experiments.edits.patched``, imported where the lab is loaded."""
    from lab.experiments.edits import patched

    return patched(experiment, patches)
