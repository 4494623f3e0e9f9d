"""Who is measured: the training step, and the lab's attack as anyone runs it. Breaching is in its own file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Protocol

import torch

from benchmarks.clock import Laps, Look, Span
from lab.attacks.base import AttackState
from lab.client.batch import Batch
from lab.evaluation.round import Round
from lab.experiments.experiment import Experiment
from lab.experiments.rounds import reconstruct, simulate_round
from lab.federated.gradients import parameter_gradient
from lab.federated.observation import Observation
from lab.federated.tensors import Images

Report = Callable[[Look], None]


class Enough(Exception):  # noqa: N818  (nothing went wrong)
    """Raised by a report that has seen enough: ends the run."""


class Contender(Protocol):
    """An attack that says after each iteration that it is done with it."""

    def run(self, report: Report) -> Images:
        """Attack once; the final reconstruction, pixels in [0, 1]."""
        ...


class Ours:
    """The lab's attack through its public iterator."""

    def __init__(self, experiment: Experiment, observation: Observation) -> None:
        self.experiment = experiment
        self.observation = observation
        self._running: Iterator[AttackState] = iter(())

    def run(self, report: Report) -> Images:
        """All of the budget; the last state repeats an iteration to tell the outcome, and is not reported."""
        seen, state = -1, None
        for state in reconstruct(self.experiment, self.observation):
            if state.iteration > seen:
                report(partial(_pixels, state))
            seen = state.iteration
        assert state is not None
        return _pixels(state)

    def some(self, iterations: int) -> list[Span]:
        """The next iterations of a run that goes on from turn to turn, over its whole schedule, again and again.

        For attacks that iterate; what follows the last iteration (the choice among restarts) is not counted.
        """
        laps = Laps(self.observation.device)
        while len(laps.spans) < iterations:
            laps.resume()
            state = next(self._running, None)
            if state is None:
                self._running = reconstruct(self.experiment, self.observation)
            elif state.iteration > 0 and state.outcome is None:
                laps.lap()
        return laps.spans

    def afresh(self, iterations: int) -> list[Span]:
        """The first iterations of a run of their own; what it kept is given back afterwards."""
        self._running = iter(())
        spans = self.some(iterations)
        self._running = iter(())
        return spans


def _pixels(state: AttackState) -> Images:
    return state.images.clamp(0, 1)


def some_of(contender: Contender, device: torch.device, iterations: int) -> list[Span]:
    """The first iterations of a fresh run, without the very first, which prepares."""
    laps = Laps(device)

    def report(look: Look) -> None:
        laps.lap()
        if len(laps.spans) > iterations:
            raise Enough
        laps.resume()

    with suppress(Enough):
        contender.run(report)
    return laps.spans[1:]


def local_batch(attacked: Round) -> Batch:
    """The pictures of one training step: all, or those of FedAvg's first local step."""
    batch = attacked.batch
    size = getattr(attacked.observation.protocol, "batch_size", 0) or len(batch.images)
    return Batch(batch.images[:size], batch.labels[:size])


def training_steps(attacked: Round, steps: int) -> list[Span]:
    """The time of each of several training steps: one forward and backward pass for the parameter gradients."""
    network, batch = attacked.observation.network, local_batch(attacked)
    laps = Laps(attacked.observation.device)
    for _ in range(steps):
        laps.resume()
        parameter_gradient(network, batch.images, batch.labels)
        laps.lap()
    return laps.spans


def simulate(experiment: Experiment, device: torch.device, threads: int) -> Round:
    """A round on ``device``; from now on everyone has so many threads, and the lab takes one where one is faster."""
    attacked = simulate_round(experiment, device)
    torch.set_num_threads(threads)
    return attacked
