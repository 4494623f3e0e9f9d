"""The stage: what happens between the page's wishes and the worker thread, and what everybody sees of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from traitlets import Any as AnyTrait
from traitlets import Bool, Dict, Float, HasTraits, Int, List, Unicode

from widgets.door.quiet import TROUBLE, quietly
from widgets.door.sentences import sentence
from widgets.readouts.layers_inverted import failed, way_down
from widgets.run import allowance, jobs, opening
from widgets.run.frame_buffer import FrameBuffer
from widgets.run.frames import Frame, describe_round, frame
from widgets.run.history import History, PastRun, renumbered
from widgets.run.requests import Plan, Wishes
from widgets.run.worker import Valve, Worker

if TYPE_CHECKING:
    from lab import AttackState, Experiment, Round

    Prepared = tuple[Experiment, Round, str]
    """An experiment, its round, and in words the device that it was computed on."""

INTERVAL_S = 0.1
"""At most one frame in this time."""
HEARTBEAT_S = 30.0
"""A page that has been silent for so long is gone: the run pauses."""
PACE_S = 6.0
MOST_REST_S = 0.75
"""The pace never rests longer before a state: an attack of few states is not made to crawl."""


def _running_loop() -> asyncio.AbstractEventLoop:
    """The kernel's event loop; raises ``LabError`` outside a notebook."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        from lab.errors import LabError

        raise LabError(
            "The page was asked for outside a notebook; use it in JupyterLab, run gradlab serve, or use lab in a script."
        ) from None


class Runner(HasTraits):
    """Prepares rounds, runs attacks one at a time and tells its observers on the kernel's event loop.

    Only the worker thread computes; every trait changes on the event loop alone.
    Nothing of torch or lab is imported before the worker has done so in the background.
    """

    status = Unicode("loading", help="loading, ready, running, paused, finished or failed")
    message = Unicode("Getting the lab ready: PyTorch is being loaded.", help="one sentence for the reader")
    hidden = List(Unicode(), help="parts and controls that the reader is not to see")
    only = List(Unicode(), help="the controls that the reader is to see; none of them means all")
    experiment = AnyTrait(None, allow_none=True, help="the present Experiment; None while loading")
    round_info = AnyTrait(None, allow_none=True, help="what left the phone, as plain data")
    device = Unicode("")
    pace_seconds = Float(PACE_S, help="watchable length of a run in seconds; 0 runs as fast as it goes")
    iteration = Int(0)
    iterations = Int(0)
    attack_seconds = Float(0.0, help="time that the attack itself took, without the pace")
    iterations_per_second = Float(0.0)
    seconds_left = Float(None, allow_none=True)
    numbers = Dict(default_value=None, allow_none=True, help="scores of the newest frame")
    watches_layers = Bool(False, help="whether somebody looks at the match of each layer")
    history = List(help="the runs of this session, as the strip shows them")
    restored = Int(0, help="counts the runs that were shown again")
    descent = Dict(help="the way down through the layers as ``descend`` finds it; empty before")

    def __init__(
        self, source: opening.Source | dict[str, Any] | None = None, hidden: Sequence[str] = (), only: Sequence[str] = ()
    ) -> None:
        """Begin with what ``source`` says (``widgets.run.opening``), or with changes to the default experiment."""
        super().__init__(hidden=list(hidden), only=list(only))
        self.reel = FrameBuffer()
        self.past = History()
        self._loop = _running_loop()
        self._worker = Worker()
        self._valve = Valve()
        self._way_down = Valve()  # that of the newest way down; stopped once another experiment is asked for
        self._borrowed = Valve()  # that of whoever borrowed the worker last
        self._wishes = Wishes()
        self._round: Round | None = None
        self._last_beat: float | None = None
        self._start_wanted = 0.0
        self._early: Callable[[Experiment], Experiment] | None = None  # the last change asked for while nothing was loaded
        self._publisher: asyncio.Task[None] | None = None
        source, valve = source if callable(source) else opening.from_changes(source or {}), self._valve
        self._worker.submit(lambda: self._open(source, valve))

    @property
    def wanted(self) -> Experiment | None:
        """The experiment last asked for, while ``experiment`` is the one last prepared; None while nothing is known yet."""
        return self._wishes.wanted

    @property
    def frames(self) -> list[Frame]:
        """The kept frames of the present run."""
        return self.reel.frames

    @property
    def run(self) -> int:
        """The number of the present run; each experiment that is prepared begins another."""
        return self.reel.run

    def on_frame(self, callback: Callable[[Frame], None]) -> None:
        """Call back with every published frame."""
        self.reel.follow(callback)

    def acknowledge(self, frame_id: int) -> None:
        """The browser has drawn this frame; the next may come."""
        self.reel.acknowledge(frame_id)

    def heartbeat(self) -> None:
        """A page is watching."""
        self._last_beat = time.monotonic()

    @property
    def page_is_gone(self) -> bool:
        """Whether a page has watched, and is silent now."""
        return self._last_beat is not None and time.monotonic() - self._last_beat > HEARTBEAT_S

    def pause(self) -> None:
        """Stop before the next iteration; the run can go on."""
        self._start_wanted = 0.0
        self._valve.shut()
        if self.status == "running":
            self.set_trait("status", "paused")

    def reset(self) -> None:
        """Back to the untouched start of the same experiment."""
        if self.wanted is not None:
            self._prepare()

    def close(self) -> None:
        """Stop everything and wait for the worker."""
        self._valve.stop()
        self._way_down.stop()
        self._borrowed.stop()
        if self._publisher is not None:
            self._publisher.cancel()
        self._worker.close()

    # --- on the event loop -------------------------------------------------------------------------

    def _go(self, credit: float) -> None:
        if self.status == "loading":
            self._start_wanted = credit
            self.set_trait("message", "The attack starts by itself as soon as the lab is ready.")
        elif self.status in ("finished", "failed"):
            self._start_wanted = credit
            self.reset()
        elif self.status in ("ready", "paused", "running"):
            self._begin(credit)

    def _begin(self, credit: float) -> None:
        if self._publisher is None:
            self._launch()
        self._valve.open(credit)
        self.set_trait("message", "")
        self.set_trait("status", "running")

    def _launch(self) -> None:
        assert self._round is not None
        experiment, attacked, valve = self.experiment, self._round, self._valve
        self._worker.submit(lambda: self._attack(experiment, attacked, valve))
        self._last_beat = None if self._last_beat is None else time.monotonic()
        self._publisher = self._loop.create_task(self._publish(valve))

    def _prepare(self, past: PastRun | None = None) -> None:
        """Drop the present run and let the worker simulate the round that is wanted; then show ``past``, if any."""
        plan, shown, valve = self._wishes.plan, self.experiment, self._drop()
        self.set_trait("message", "The client computes its update.")
        self._worker.submit(lambda: self._simulate(plan, shown, valve, past=past))

    def _drop(self) -> Valve:
        """End whatever runs; returns the valve of what comes next."""
        if self.status in ("running", "paused"):
            self._remember()
        self._valve.stop()
        self._way_down.stop()
        self.descent = {}
        if self._publisher is not None:
            self._publisher.cancel()
        self._publisher, self._valve = None, Valve()
        self.set_trait("status", "loading")
        return self._valve

    def _opened(self, opened: opening.Opening, valve: Valve) -> None:
        """A link replaces everything: there is nothing to undo."""
        if valve is self._valve:
            self._wishes.begin(opened.experiment)
            self.hidden = list(dict.fromkeys([*self.hidden, *opened.hidden]))

    def _prepared(self, made: Prepared, kept: list[Experiment] | None, valve: Valve, notice: str) -> None:
        """Show the round; of the changes asked for, only those that led to ``kept`` could be made, or all of them."""
        if valve is not self._valve:
            return  # another experiment was asked for in the meantime
        experiment, attacked, device = made
        self._wishes.settle(kept)
        self.reel.begin()
        self._round = attacked
        with self.hold_trait_notifications():
            self.experiment = experiment
            self.round_info = describe_round(experiment, attacked)
            self.device = device
            self.iteration, self.attack_seconds, self.iterations_per_second = 0, 0.0, 0.0
            self.iterations = getattr(experiment.attack, "iterations", 1) * getattr(experiment.attack, "restarts", 1)
            self.seconds_left, self.numbers = None, None
            self.message = f"{notice} {allowance.note()}".strip()
            self.status = "ready"
        wanted, self._start_wanted = self._start_wanted, 0.0
        if wanted:
            self._begin(wanted)

    def _shown_again(self, past: PastRun, valve: Valve) -> None:
        if valve is not self._valve or self.status != "ready":
            return
        self.frames[:] = renumbered(past.frames, self.run)
        last = self.frames[-1]
        with self.hold_trait_notifications():
            self.iteration, self.iterations, self.attack_seconds = last.iteration, past.iterations, last.seconds
            self.numbers, self.message, self.status = last.numbers, past.message, "finished"
        self.restored += 1

    def _not_prepared(self, sentence: str, valve: Valve) -> None:
        """Nothing is lost: the last experiment that worked stays."""
        if valve is not self._valve:
            return
        self._start_wanted = 0.0
        with self.hold_trait_notifications():
            self.message = sentence
            self.status = "failed" if self._round is None else "ready"
        self._wishes.settle([])

    async def _publish(self, valve: Valve) -> None:
        """Send the newest state on, at most every ``INTERVAL_S`` and only after the last was drawn."""
        while valve is self._valve:
            await asyncio.sleep(INTERVAL_S)
            if self.reel.waits:
                self._send()
            if valve.running and self.page_is_gone:
                self.pause()
                self.set_trait("message", "Paused, because the page was closed or lost its connection.")
            elif self.status == "running" and not valve.running and not valve.stopped:
                self.set_trait("status", "paused")

    def _send(self) -> None:
        """Score the newest state, keep it as a frame and hand it out."""
        from lab import score

        newest = self.reel.take()
        if newest is None or self._round is None:
            return
        shown = frame(self.reel.number(), self.run, newest, score(self._round, newest.state))
        self._report(newest.state, newest.seconds, shown.numbers)
        self.reel.send(shown)

    def _report(self, state: AttackState, seconds: float, numbers: dict[str, Any]) -> None:
        rate = state.iteration / seconds if seconds > 0 else 0.0
        slowest = max(1 / rate if rate else 0.0, self._rest_s(state))
        with self.hold_trait_notifications():
            self.iteration, self.iterations = state.iteration, state.iterations
            self.attack_seconds, self.iterations_per_second = seconds, rate
            self.seconds_left = (state.iterations - state.iteration) * slowest
            self.numbers = numbers

    def _ended(self, sentence: str, status: str, valve: Valve) -> None:
        """The worker is done with this run: send the last state and say how it ended."""
        if valve is not self._valve:
            return
        if self._publisher is not None:
            self._publisher.cancel()
        self._send()
        valve.stop()
        self._publisher, self._valve = None, Valve()
        with self.hold_trait_notifications():
            self.message, self.status, self.seconds_left = f"{sentence} {allowance.note()}".strip(), status, None
        self._remember()

    def _remember(self) -> None:
        """Keep the present run among the past ones, however short, unless it never left its start."""
        if self.iteration > 0:
            self.past.add(self.experiment, self.frames, self.message, self.iterations)
            self.history = self.past.strip()

    def _went_down(self, found: dict[str, Any], valve: Valve) -> None:
        if not valve.stopped:
            self.descent = found

    # --- handed to the worker thread ---------------------------------------------------------------

    def _tell(self, callback: Callable[..., None], *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._told, partial(callback, *arguments))

    def _told(self, callback: Callable[[], None]) -> None:
        """On the event loop: an observer that fails must not leave the page waiting."""
        if not quietly(callback):
            waits = self.status == "loading"
            self.set_trait("message", TROUBLE)
            self.set_trait("status", ("failed" if self._round is None else "ready") if waits else self.status)

    def _open(self, source: opening.Source, valve: Valve) -> None:
        try:
            jobs.load()
            opened = opening.affordable(source())
        except Exception as error:  # a thread's exception shows nowhere else
            self._tell(self._not_prepared, sentence(error), valve)
            return
        self._tell(self._opened, opened, valve)
        self._simulate(Plan(opened.experiment, (), opened.experiment), None, valve, opened.notice)

    def _simulate(
        self, plan: Plan, shown: Experiment | None, valve: Valve, notice: str = "", past: PastRun | None = None
    ) -> None:
        if valve.stopped:
            return
        made = _made(lambda: plan.wanted)
        if isinstance(made, str):
            self._simulate_one_by_one(plan, shown, valve, made)
            return
        self._tell(self._prepared, made, None, valve, notice)
        if past is not None:
            self._tell(self._shown_again, past, valve)

    def _simulate_one_by_one(self, plan: Plan, shown: Experiment | None, valve: Valve, notice: str) -> None:
        """Of several changes at least one could not be prepared: each is tried by itself, and only that one is lost."""
        last: Prepared | str | None = None
        kept: list[Experiment] = []
        for step in plan.steps if len(plan.steps) > 1 else ():
            if valve.stopped:
                return
            made = _made(partial(step, kept[-1] if kept else plan.base))
            if isinstance(made, str):
                notice = made
            elif made[0] != (kept[-1] if kept else plan.base):
                last = made
                kept.append(made[0])
        if last is None and shown is not None and plan.base != shown:
            last = _made(lambda: plan.base)  # what an undo has brought back just before
        if last is None or isinstance(last, str):
            self._tell(self._not_prepared, notice, valve)
        else:
            self._tell(self._prepared, last, kept, valve, notice)

    def _attack(self, experiment: Experiment, attacked: Round, valve: Valve) -> None:
        try:
            ending = jobs.drive(experiment, attacked, valve, self.reel.post, self._rest_s, lambda: self.watches_layers)
        except Exception as error:
            self._tell(self._ended, sentence(error), "failed", valve)
            return
        self._tell(self._ended, ending, "finished", valve)

    def _rest_s(self, state: AttackState) -> float:
        """What the pace wants between two states."""
        return min(MOST_REST_S, self.pace_seconds / max(1, state.iterations))

    def _go_down(self, experiment: Experiment, attacked: Round, valve: Valve) -> None:
        try:
            jobs.allow_way_down(experiment)
            for found in way_down(experiment, attacked, lambda: valve.stopped or allowance.spent()):
                self._tell(self._went_down, found, valve)
            if allowance.spent():
                self._tell(self._went_down, failed(allowance.SPENT), valve)
        except Exception as error:
            self._tell(self._went_down, failed(sentence(error)), valve)


def _made(make: Callable[[], Experiment]) -> Prepared | str:
    """The round of an experiment, or the sentence that says why there is none."""
    try:
        experiment = make()
        return (experiment, *jobs.simulate(experiment))
    except Exception as error:  # a thread's exception shows nowhere else
        return sentence(error)
