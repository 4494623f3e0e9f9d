"""Several runs on one clock: the same seed, one difference, one iteration of each in turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from traitlets import HasTraits, List, Unicode

from widgets.door.sentences import sentence
from widgets.run import allowance, jobs
from widgets.run.frame_buffer import ACKNOWLEDGE_S
from widgets.run.frames import Frame, Post, describe_round, frame
from widgets.run.worker import Valve

if TYPE_CHECKING:
    from lab import Experiment, Round
    from lab.experiments.driving import Driven

INTERVAL_S = 0.1
PACE_S = 5.0
"""Watchable length of the whole comparison."""
INTERRUPTED = "Stopped, because another attack began."


class Comparison(HasTraits):
    """Runs experiments in lockstep on the session's own worker: never more than one attack computes at a time."""

    status = Unicode("idle", help="idle, waiting, running, finished or failed")
    message = Unicode("")
    secrets = List(help="what left the phone on each side, as plain data")

    def __init__(self, session: Any) -> None:
        super().__init__()
        self.session = session
        self.frames: list[list[Frame]] = []
        self._valve = Valve()
        self._newest: list[Post] | None = None
        self._rounds: list[Round] = []
        self._callbacks: list[Callable[[list[Frame]], None]] = []
        self._drawn: tuple[int, float] | None = None
        self._loop = asyncio.get_running_loop()
        session.observe(self._yield, names=["status"])

    def start(self, experiments: Sequence[Experiment]) -> None:
        """Compare these; what runs already ends first."""
        self.stop("")
        self.session.stop()
        self.frames, self._newest, self._drawn, self._valve = [], None, None, Valve()
        self.message, self.status = "The clients compute their updates.", "waiting"
        valve = self._valve
        valve.open()
        self.session.borrow(lambda: self._work(list(experiments), valve), valve)
        self._loop.create_task(self._publish(valve))

    def stop(self, why: str = "Stopped.") -> None:
        """End the comparison and keep what was found."""
        self._valve.stop()
        if self.status in ("waiting", "running"):
            self.message, self.status = why, "finished"

    def follow(self, callback: Callable[[list[Frame]], None]) -> None:
        """Call back with every published moment: one frame a side."""
        self._callbacks.append(callback)

    def acknowledge(self, number: int) -> None:
        """The browser has drawn this moment; the next may come."""
        if self._drawn is not None and number >= self._drawn[0]:
            self._drawn = None

    def _yield(self, change: Any) -> None:
        """The session wants its worker back."""
        if change.new in ("running", "loading"):
            self.stop(INTERRUPTED)

    # --- on the event loop ---

    def _begun(self, rounds: list[Round], secrets: list[dict[str, Any]], valve: Valve) -> None:
        if valve is self._valve and not valve.stopped:
            self._rounds, self.secrets = rounds, secrets
            self.message, self.status = "", "running"

    async def _publish(self, valve: Valve) -> None:
        while valve is self._valve and not valve.stopped:
            await asyncio.sleep(INTERVAL_S)
            if self._drawn is None or time.monotonic() - self._drawn[1] > ACKNOWLEDGE_S:
                self._send()
            if self.session.page_is_gone:
                self.stop("Stopped, because the page was closed or lost its connection.")

    def _send(self) -> None:
        from lab import score

        newest, self._newest = self._newest, None
        if newest is None:
            return
        number = len(self.frames) + 1
        moment = [
            frame(number, 0, post, score(attacked, post.state)) for attacked, post in zip(self._rounds, newest, strict=True)
        ]
        self.frames.append(moment)
        self._drawn = (number, time.monotonic())
        for callback in self._callbacks:
            callback(moment)

    def _ended(self, told: str, status: str, valve: Valve) -> None:
        if valve is self._valve and not valve.stopped:
            self._send()
            valve.stop()
            self.message, self.status = told, status

    # --- on the worker thread ---

    def _tell(self, callback: Callable[..., None], *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _work(self, experiments: list[Experiment], valve: Valve) -> None:
        try:
            rounds = [jobs.simulate(experiment)[0] for experiment in experiments if not valve.stopped]
            if valve.stopped:
                return
            self._tell(self._begun, rounds, [describe_round(*side) for side in zip(experiments, rounds, strict=True)], valve)
            self._race(experiments, rounds, valve)
        except Exception as error:  # a thread's exception shows nowhere else
            self._tell(self._ended, sentence(error), "failed", valve)
            return
        self._tell(self._ended, allowance.SPENT if allowance.spent() else "All runs are done.", "finished", valve)

    def _race(self, experiments: list[Experiment], rounds: list[Round], valve: Valve) -> None:
        """One iteration of each side in turn, until all have ended."""
        from lab.experiments.driving import drive

        runs = [drive(experiment, attacked.observation) for experiment, attacked in zip(experiments, rounds, strict=True)]
        posts: list[Post] = []
        began = time.monotonic()
        with ExitStack() as stack:
            for run in runs:
                stack.enter_context(run)
            while time.monotonic() - began < jobs.RUN_LIMIT_S and not allowance.spent() and valve.take():
                tick = time.perf_counter()
                posts = self._newest = [_next(run) for run in runs]
                if all(post.state.outcome for post in posts):
                    return
                valve.rest(PACE_S / max(_longest(posts), 1) - (time.perf_counter() - tick))


def _next(run: Driven) -> Post:
    """The next state of a run with its seconds; one that has ended stays where it is."""
    state = next(run) if run.state is None or run.state.outcome is None else run.state
    return Post(state, run.seconds)


def _longest(posts: list[Post]) -> int:
    return max(post.state.iterations for post in posts)
