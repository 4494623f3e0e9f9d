"""The runner: what runs on the worker right now, how far it may go, and what is sent of it meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from widgets.run.publisher import Publisher
from widgets.run.worker import Gate, Worker

Attack = Callable[[Gate], str]
"""Asks for states while the gate lets them through; returns the sentence about how it ended."""


class Runner:
    """Runs one attack at a time, or several in lockstep. All of it is called on the event loop; the worker computes."""

    def __init__(self, worker: Worker, publisher: Publisher[Any, Any], ended: Callable[[str, str], None]) -> None:
        """``ended`` is told the sentence and the status, "finished" or "failed", after the last state was sent."""
        self._worker, self._publisher, self._ended = worker, publisher, ended
        self.gate = Gate()

    @property
    def runs(self) -> bool:
        """Whether an attack has begun and not ended; it may be paused."""
        return self._publisher.publishes

    @property
    def stands(self) -> bool:
        """Whether all states that were asked for have come, and more may be."""
        return not self.gate.running and not self.gate.stopped

    def go(self, states: float, attack: Attack) -> None:
        """Let so many states through from now on; ``attack`` begins where none has."""
        if not self.runs:
            gate = self.gate
            self._worker.do(lambda: attack(gate), gate, partial(self._end, "failed"), partial(self._end, "finished"))
            self._publisher.begin()
        self.gate.open(states)

    def pause(self) -> None:
        """Stop before the next state; it can go on."""
        self.gate.shut()

    def stop(self) -> None:
        """End what runs and keep what was found."""
        if self.runs:
            self.gate.stop()

    def drop(self) -> Gate:
        """End whatever runs, of which nothing is told any more; returns the gate of what comes next."""
        self.gate.drop()
        self._publisher.cancel()
        self.gate = Gate()
        return self.gate

    def close(self) -> None:
        """Stop everything, and wait for the worker."""
        self.gate.stop()
        self._publisher.cancel()
        self._worker.close()

    def _end(self, status: str, told: str) -> None:
        self._publisher.end()
        self.gate.stop()
        self.gate = Gate()
        self._ended(told, status)
