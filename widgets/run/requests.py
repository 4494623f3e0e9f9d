"""What was asked for, change by change, and what can be taken back: also while a round is still being prepared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab import Experiment

Step = Callable[["Experiment"], "Experiment"]
"""One change. Pure, as it may be made again on the worker's thread; raises ``LabError`` where it cannot be made."""
MAX_UNDOS = 30
MAX_PENDING = 30


@dataclass(frozen=True)
class Plan:
    """What is to be prepared: an experiment that once was, and the changes asked for since."""

    base: Experiment
    steps: tuple[Step, ...]
    wanted: Experiment
    """The base after all steps."""


class Requests:
    """The experiment last asked for. Changes that come quickly build on one another, not on what was prepared last."""

    def __init__(self) -> None:
        self._base: Experiment | None = None
        self._pending: list[tuple[Experiment, Step]] = []  # each with the experiment before it
        self._past: list[Experiment] = []
        self.wanted: Experiment | None = None

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._past or self._pending)

    @property
    def plan(self) -> Plan:
        """What is to be prepared now."""
        assert self._base is not None
        assert self.wanted is not None
        return Plan(self._base, tuple(step for _, step in self._pending), self.wanted)

    def begin(self, experiment: Experiment | None) -> None:
        """Everything is replaced, as by a link; None while it is not known by what."""
        self._base = self.wanted = experiment
        self._pending.clear()
        self._past.clear()

    def take(self, step: Step) -> bool:
        """Make one more change; whether it changes anything. Raises what the step raises, and then nothing has changed."""
        assert self.wanted is not None
        changed = step(self.wanted)
        if changed == self.wanted:
            return False
        self._pending.append((self.wanted, step))
        self.wanted = changed
        if len(self._pending) > MAX_PENDING:
            (before, first), (_, second), *rest = self._pending
            self._pending = [(before, lambda experiment: second(first(experiment))), *rest]
        return True

    def undo(self) -> bool:
        """Take the last change back; whether there was one."""
        if self._pending:
            self.wanted, _ = self._pending.pop()
        elif self._past:
            self._base = self.wanted = self._past.pop()
        else:
            return False
        return True

    def settle(self, kept: Sequence[Experiment] | None = None) -> None:
        """All that was asked for is prepared; or, of the changes, only those that led to the experiments ``kept``."""
        if self._base is None:
            return
        befores = [before for before, _ in self._pending]
        if kept is not None:
            *befores, self.wanted = [self._base, *kept]
        self._past = [*self._past, *befores][-MAX_UNDOS:]
        self._base, self._pending = self.wanted, []


def replacing(experiment: Experiment) -> Step:
    """The change to another experiment, whatever there was."""
    return lambda _: experiment
