"""What one iteration costs, in training steps, and how much memory it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from benchmarks.breaching_adapter import DEFAULT_ITERATIONS, DEFAULT_TOTAL_VARIATION, Breaching
from benchmarks.cases import Case, Pictures
from benchmarks.clock import Span, by_turns, ratio, seconds
from benchmarks.contenders import Ours, simulate, some_of, training_steps
from benchmarks.floor import floor

STEP, OURS, BREACHING = "training_step", "ours", "breaching"
CONTENDERS = (STEP, OURS, BREACHING)

Stretch = Callable[[int], list[Span]]
"""Runs so many iterations and gives the time of each."""


@dataclass(frozen=True)
class Costs:
    """Seconds of each contender turn by turn, and what follows from them."""

    iterations_a_turn: int
    seconds: dict[str, list[float]]
    """For each contender the median iteration of each turn: processor seconds (wall seconds on a graphics card)."""
    floor: float | None = None
    """Training steps that an iteration needs at least; None where it simulates several local steps."""

    def training_steps(self, contender: str) -> float:
        """One iteration of the contender in training steps."""
        return ratio(self.seconds[contender], self.seconds[STEP])

    @property
    def against_breaching(self) -> float:
        """How many of our iterations cost as much as one of breaching's."""
        return ratio(self.seconds[BREACHING], self.seconds[OURS])

    def plain(self) -> dict[str, object]:
        """For the report."""
        return {
            "iterations_a_turn": self.iterations_a_turn,
            "seconds": self.seconds,
            "median_seconds": {name: median(values) for name, values in self.seconds.items()},
            "in_training_steps": {name: self.training_steps(name) for name in CONTENDERS},
            "breaching_over_ours": self.against_breaching,
            "floor_in_training_steps": self.floor,
        }


def stretches(
    case: Case, pictures: Pictures, device: torch.device, threads: int, *, afresh: bool = False
) -> dict[str, Stretch]:
    """The three contenders on one round, by name; ``afresh`` begins our run anew with each stretch."""
    experiment = case.experiment(pictures.dataset(case, 0), seed=0)
    attacked = simulate(experiment, device, threads)
    ours = Ours(experiment, attacked.observation)
    theirs = Breaching(attacked, 0, DEFAULT_ITERATIONS, DEFAULT_TOTAL_VARIATION)
    return {
        STEP: lambda count: training_steps(attacked, count),
        OURS: ours.afresh if afresh else ours.some,
        BREACHING: lambda count: some_of(theirs, device, count),
    }


def measure(case: Case, pictures: Pictures, device: torch.device, threads: int, turns: int, turn_s: float) -> Costs:
    """Training step, our iteration and breaching's, by turns in this process; a turn gives each about ``turn_s`` seconds."""
    running = stretches(case, pictures, device, threads)
    count = iterations_for(running[BREACHING], device, turn_s)

    def timed(stretch: Stretch) -> Callable[[], list[float]]:
        return lambda: [seconds(span, device) for span in stretch(count)]

    lowest = None if case.simulates_steps else floor(case.network)
    return Costs(count, by_turns({name: timed(stretch) for name, stretch in running.items()}, turns), lowest)


def iterations_for(stretch: Stretch, device: torch.device, turn_s: float) -> int:
    """How many iterations fill a turn, from 2 to 100; torch compiles in the first ones, so the fastest counts."""
    once = min(seconds(span, device) for span in stretch(4))
    return max(2, min(100, round(turn_s / once)))
