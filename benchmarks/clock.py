"""Time: processor and wall seconds, of many short stretches, by turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from lab.federated.tensors import Images

Look = Callable[[], Images]
"""Gives the candidate, pixels in [0, 1]; not called where only the time is wanted."""


@dataclass(frozen=True)
class Span:
    """A stretch of time."""

    cpu_s: float
    """Seconds that the processor worked for this process, all threads together."""
    wall_s: float

    def __add__(self, other: Span) -> Span:
        return Span(self.cpu_s + other.cpu_s, self.wall_s + other.wall_s)

    def __sub__(self, other: Span) -> Span:
        return Span(self.cpu_s - other.cpu_s, self.wall_s - other.wall_s)


def now(device: torch.device) -> Span:
    """The clocks; on a graphics card once it has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return Span(time.process_time(), time.perf_counter())


def seconds(span: Span, device: torch.device) -> float:
    """What counts: processor seconds, which other programs disturb least; wall seconds on a graphics card."""
    return span.cpu_s if device.type == "cpu" else span.wall_s


class Laps:
    """Splits a run into iterations; what happens between ``lap`` and ``resume`` is not counted."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.spans: list[Span] = []
        self.resume()

    def lap(self) -> None:
        """An iteration ends."""
        self.spans.append(now(self.device) - self._since)

    def resume(self) -> None:
        """The next one begins."""
        self._since = now(self.device)

    def total(self) -> Span:
        """All iterations so far."""
        return sum(self.spans, Span(0.0, 0.0))


def by_turns(contenders: dict[str, Callable[[], list[float]]], turns: int) -> dict[str, list[float]]:
    """A B C A B C ...: each contender's median seconds an iteration in each turn; one turn more warms up.

    A disturbance of the machine then hits all contenders alike, and ratios are taken within a turn.
    """
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(turns + 1):
        for name, run in contenders.items():
            middle = median(run())
            if turn:
                found[name].append(middle)
    return found


def ratio(numerator: list[float], denominator: list[float]) -> float:
    """Median of the ratios turn by turn."""
    return median(above / below for above, below in zip(numerator, denominator, strict=True))
