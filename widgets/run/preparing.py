"""What was asked for, and how the worker thread prepares it: the lab itself, an experiment, its round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from widgets.door.sentences import answer, sentence
from widgets.form.costs import Costs, costs_of
from widgets.run import jobs
from widgets.run.frames import describe_round
from widgets.run.history import PastRun
from widgets.run.opening import Opening, Source, affordable
from widgets.run.requests import Plan, Requests, Step, replacing
from widgets.run.worker import Gate, Worker

if TYPE_CHECKING:
    from lab import Experiment, Round
    from lab.evaluation.round import RoundWithoutTruth


@dataclass(frozen=True, eq=False)
class Prepared:
    """An experiment and its round."""

    experiment: Experiment
    attacked: Round | RoundWithoutTruth
    device: str
    """That it was computed on, in words."""
    notice: str = ""
    kept: Sequence[Experiment] | None = None
    """Of the changes asked for, only those that led to these could be made; None: all of them."""
    costs: Costs = field(default_factory=Costs)
    described: dict[str, Any] = field(default_factory=dict[str, Any])
    """What left the phone."""


class Preparation:
    """Keeps what was asked for, and lets the worker prepare it. All of it is called on the event loop."""

    def __init__(
        self,
        worker: Worker,
        drop: Callable[[], Gate],
        opened: Callable[[Opening, str], None],
        prepared: Callable[[Prepared, PastRun | None], None],
        failed: Callable[[str], None],
    ) -> None:
        """``drop`` ends what runs and gives the gate of what is prepared next; the others are told what came of it.

        ``opened`` and ``failed`` get a sentence; after the latter nothing is lost, the last experiment that worked stays.
        """
        self._worker, self._drop, self._opened, self._prepared, self._failed = worker, drop, opened, prepared, failed
        self._requests = Requests()
        self._shown: Experiment | None = None  # prepared last
        self._early: Step | None = None  # the last change asked for while nothing was loaded

    @property
    def wanted(self) -> Experiment | None:
        """The experiment last asked for; None while nothing is known yet."""
        return self._requests.wanted

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return self._requests.can_undo

    def open(self, source: Source) -> None:
        """Replace everything by what the source says, once it is known."""
        self._requests.begin(None)
        gate = self._drop()

        def load() -> Prepared:
            jobs.load()
            found = affordable(source())
            self._worker.tell(gate, self._begin, found)
            return prepare(Plan(found.experiment, (), found.experiment), None, gate, found.notice)

        self._worker.do(load, gate, self._fail, partial(self._settle, None))

    def again(self, past: PastRun | None = None) -> None:
        """Prepare what is wanted, to show ``past`` of it, if any."""
        plan, shown, gate = self._requests.plan, self._shown, self._drop()
        self._worker.do(lambda: prepare(plan, shown, gate), gate, self._fail, partial(self._settle, past))

    def take(self, step: Step) -> None:
        """Make one more change. Raises what the step raises, and then nothing has changed."""
        if self.wanted is not None and self._requests.take(step):
            self.again()

    def undo(self) -> None:
        """Take the last change back."""
        if self._requests.undo():
            self.again()

    def show(self, past: PastRun) -> None:
        """Take the experiment of a run that is over, and show that run."""
        self._requests.take(replacing(past.experiment))
        self.again(past)

    def once_loaded(self, make: Step) -> str:
        """Begin with what ``make`` makes of the first experiment; empty, or the sentence that says why not."""
        self._early = make
        return self._apply_early()

    def _apply_early(self) -> str:
        """Make the change asked for early, once it is known of what: a link may still be on its way.

        The request is made once, here: it may have something to tell, and steps must be pure.
        """
        early, wanted = self._early, self.wanted
        if early is None or wanted is None:
            return ""
        self._early = None
        return answer(lambda: self.take(replacing(early(wanted))))

    def _begin(self, found: Opening) -> None:
        self._requests.begin(found.experiment)
        self._opened(found, self._apply_early())

    def _settle(self, past: PastRun | None, made: Prepared) -> None:
        self._requests.settle(made.kept)
        self._shown = made.experiment
        self._prepared(made, past if made.kept is None else None)

    def _fail(self, told: str) -> None:
        self._requests.settle([])
        self._failed(told)


def prepare(plan: Plan, shown: Experiment | None, gate: Gate, notice: str = "") -> Prepared:
    """The round of what is wanted; where it cannot be had, that of as many of the changes as can be made.

    ``shown`` is the experiment prepared before. Raises ``LabError`` where nothing new can be prepared.
    """
    made = _made(lambda: plan.wanted)
    found = _one_by_one(plan, shown, gate, made) if isinstance(made, str) else Prepared(*made, notice)
    return replace(found, costs=costs_of(found.experiment), described=describe_round(found.experiment, found.attacked))


def _one_by_one(plan: Plan, shown: Experiment | None, gate: Gate, notice: str) -> Prepared:
    """Of several changes at least one could not be prepared: each is tried by itself, and only that one is lost."""
    from lab import LabError

    last: tuple[Experiment, Round | RoundWithoutTruth, str] | str | None = None
    kept: list[Experiment] = []
    for step in plan.steps if len(plan.steps) > 1 else ():
        before = kept[-1] if kept else plan.base
        made = "Stopped." if gate.stopped else _made(partial(step, before))
        if isinstance(made, str):
            notice = made
        elif made[0] != before:
            last = made
            kept.append(made[0])
    if last is None and shown is not None and plan.base != shown and not gate.stopped:
        last = _made(lambda: plan.base)  # what an undo has brought back just before
    if last is None or isinstance(last, str):
        raise LabError(notice)
    return Prepared(*last, notice, kept)


def _made(make: Callable[[], Experiment]) -> tuple[Experiment, Round | RoundWithoutTruth, str] | str:
    """An experiment, its round and the device, or the sentence that says why there is none."""
    try:
        experiment = make()
        return (experiment, *jobs.simulate(experiment))
    except Exception as error:  # each change fails by itself
        return sentence(error)
