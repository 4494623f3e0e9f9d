"""Several runs on one clock: the same seed, one difference, one iteration of each in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from traitlets import HasTraits, List, Unicode

from widgets.run import jobs
from widgets.run.frame_buffer import FrameBuffer
from widgets.run.frames import Frame, Post, describe_round, frame
from widgets.run.publisher import Publisher
from widgets.run.runner import Runner
from widgets.run.worker import Gate

if TYPE_CHECKING:
    from lab import Experiment, Round
    from lab.evaluation.round import RoundWithoutTruth

Moment = list[Frame]
"""One frame a side, all with the same number."""
PACE_S = 5.0
"""Watchable length of the whole comparison."""
INTERRUPTED = "Stopped, because another attack began."


def _size(moment: Moment) -> int:
    """Bytes of its pictures."""
    return sum(frame.image.nbytes for frame in moment)


class Comparison(HasTraits):
    """Runs experiments in lockstep on the session's own worker: never more than one attack computes at a time."""

    status = Unicode("idle", help="idle, waiting, running, finished or failed")
    message = Unicode("")
    secrets = List(help="what left the phone on each side, as plain data")

    def __init__(self, session: Any) -> None:
        super().__init__()
        self.session = session
        self.frame_buffer: FrameBuffer[list[Post], Moment] = FrameBuffer(_size)
        self._runner = Runner(session.worker, Publisher(self.frame_buffer, self._moment, self._look), self._ended)
        self._rounds: list[Round | RoundWithoutTruth] = []
        session.observe(self._yield, names=["status"])

    @property
    def frames(self) -> list[Moment]:
        """The kept moments of the present comparison."""
        return self.frame_buffer.frames

    def start(self, experiments: Sequence[Experiment]) -> None:
        """Compare these; what runs already ends first."""
        self.stop("")
        self.session.stop()
        self.frame_buffer.begin()
        self.message, self.status = "The clients compute their updates.", "waiting"
        post = partial(self.frame_buffer.post, self.frame_buffer.run)
        self._runner.go(float("inf"), lambda gate: self._work(experiments, gate, post))

    def stop(self, why: str = "Stopped.") -> None:
        """End the comparison and keep what was found."""
        self._runner.drop()
        if self.status in ("waiting", "running"):
            self.message, self.status = why, "finished"

    def follow(self, callback: Callable[[Moment], None]) -> None:
        """Call back with every published moment."""
        self.frame_buffer.follow(callback)

    def acknowledge(self, number: int) -> None:
        """The browser has drawn this moment; the next may come."""
        self.frame_buffer.acknowledge(number)

    # --- on the event loop ---

    def _yield(self, change: Any) -> None:
        """The session wants its worker back."""
        if change.new in ("running", "loading"):
            self.stop(INTERRUPTED)

    def _look(self) -> None:
        if self.session.page_is_gone:
            self.stop("Stopped, because the page was closed or lost its connection.")

    def _begun(self, rounds: list[Round | RoundWithoutTruth], secrets: list[dict[str, Any]]) -> None:
        self._rounds, self.secrets = rounds, secrets
        self.message, self.status = "", "running"

    def _moment(self, newest: list[Post]) -> Moment:
        number = self.frame_buffer.number()
        sides = zip(self._rounds, newest, strict=True)
        return [frame(number, self.frame_buffer.run, post, attacked) for attacked, post in sides]

    def _ended(self, told: str, status: str) -> None:
        self.message, self.status = told, status

    # --- on the worker thread ---

    def _work(self, experiments: Sequence[Experiment], gate: Gate, post: Callable[[list[Post]], None]) -> str:
        sides = [(experiment, jobs.simulate(experiment)[0]) for experiment in experiments if not gate.stopped]
        self.session.worker.tell(
            gate, self._begun, [attacked for _, attacked in sides], [describe_round(*side) for side in sides]
        )
        return jobs.race(sides, gate, post, PACE_S)
