"""An attack under way: the one loop that times it, remembers its last state and frees what it holds."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from time import perf_counter, process_time

from lab.attacks.base import AttackState
from lab.errors import LabError
from lab.experiments.experiment import Experiment
from lab.experiments.rounds import reconstruct
from lab.federated.observation import Observation


class Driven(Iterator[AttackState]):
    """The states of an attack, one when asked for; only the attack's own computing is timed, not what is done in between.

    A context: at its end, however that comes, the attack is closed and its memory free.
    """

    def __init__(self, states: Generator[AttackState, None, None]) -> None:
        self._states = states
        self.state: AttackState | None = None
        """The newest."""
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        """Of this process, all threads together."""

    def __next__(self) -> AttackState:
        """The next state. Raises ``StopIteration`` after the one with an outcome."""
        began, cpu = perf_counter(), process_time()
        try:
            self.state = next(self._states)
        finally:
            self.seconds += perf_counter() - began
            self.cpu_seconds += process_time() - cpu
        return self.state

    def finish(self) -> AttackState:
        """Go to the end; the closing state. Raises ``LabError`` where the attack gave none."""
        for _ in self:
            pass
        if self.state is None:
            raise LabError("The attack gave no state at all; let it yield at least one, with an outcome.")
        return self.state

    def __enter__(self) -> Driven:
        return self

    def __exit__(self, *problem: object) -> None:
        self._states.close()


def drive(experiment: Experiment, observation: Observation) -> Driven:
    """The experiment's attack on the observation, ready to be asked for states."""
    return Driven(reconstruct(experiment, observation))
