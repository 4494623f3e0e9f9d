"""Driving one attack from the command line: what is kept of it, and the ways to cut it short."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from lab.attacks.base import AttackState, Interrupted
from lab.evaluation.reconstructions import decoded, main_measure
from lab.evaluation.round import Round
from lab.experiments.driving import Driven
from lab.experiments.outputs import HistoryRow
from lab.federated.inputs import element_count
from lab.federated.tensors import Inputs
from lab.modalities.base import modality_of

FRAME_BYTES = 64 * 2**20
MAX_FRAMES = 96


class Recording:
    """The history of an attack, and frames at even distances: every second one goes when there are too many."""

    def __init__(self, attacked: Round) -> None:
        self.attacked = attacked
        self.history: list[HistoryRow] = []
        self.latest: dict[int, AttackState] = {}
        """The newest state of each restart."""
        self._modality = modality_of(attacked.observation.modality)
        self._frames: dict[int, Inputs] = {}
        self._stride = 1
        self._most = max(8, min(MAX_FRAMES, FRAME_BYTES // element_count(attacked.batch.inputs)))

    def add(self, state: AttackState, seconds: float) -> None:
        """Keep a state; one that repeats a place of the history (the closing state does) adds no row."""
        if self.history and (state.restart, state.iteration) == (0, 0):
            self.__init__(self.attacked)  # a full graphics card made the attack start over on the CPU
        self.latest[state.restart] = state
        if self.history and (state.restart, state.iteration) <= (self.history[-1].restart, self.history[-1].iteration):
            return
        kept = len(self.history) % self._stride == 0
        if kept:
            self._keep(state)
        measured = main_measure(self.attacked, state) if kept else None
        self.history.append(HistoryRow(state.restart, state.iteration, state.objective, state.terms, seconds, measured))

    def _keep(self, state: AttackState) -> None:
        self._frames[len(self.history)] = self._packed(state)
        if len(self._frames) > self._most:
            self._stride *= 2
            self._frames = {place: frame for place, frame in self._frames.items() if place % self._stride == 0}

    def _packed(self, state: AttackState) -> Inputs:
        return self._modality.packed(decoded(self.attacked, state))

    def frames(self, last: AttackState) -> tuple[Inputs, ...]:
        """The kept frames, ending with the candidate that counts."""
        return (*self._frames.values(), self._packed(last))

    def best(self) -> AttackState:
        """The state to show now: of the newest of each restart the one with the least distance, never by the truth."""
        return min(self.latest.values(), key=_distance)


def _distance(state: AttackState) -> float:
    distance = state.terms.get("distance", state.objective)
    return distance if math.isfinite(distance) else math.inf


@dataclass(frozen=True, eq=False)
class Ended:
    """How an attack ended."""

    state: AttackState
    iterations: int
    seconds: float
    stopped_after: int | None


def follow(
    attack: Driven,
    recording: Recording,
    enough: Callable[[AttackState, float], bool],
    report: Callable[[AttackState, float], None],
) -> Ended:
    """Ask for states until there are no more, or ``enough(state, seconds)`` says so; only the asking is timed."""
    for state in attack:
        recording.add(state, attack.seconds)
        report(state, attack.seconds)
        if state.iteration < state.iterations and enough(state, attack.seconds):
            stopped = replace(recording.best(), outcome=Interrupted.STOPPED)
            return Ended(stopped, state.iteration, attack.seconds, state.iteration)
    assert attack.state is not None
    return Ended(attack.state, attack.state.iteration, attack.seconds, None)
