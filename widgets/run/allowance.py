"""What a visitor may ask of the machine: bounds told by the server, and counted by the kernel that is the visitor's own."""

from __future__ import annotations

import os
import time
from functools import cache
from typing import TYPE_CHECKING

from widgets.surroundings import MAX_BYTES, MAX_SECONDS

if TYPE_CHECKING:
    from lab import Experiment
    from lab.experiments.cost.limits import Limits

NEAR = 0.2
"""Share of the seconds from which on what is left is said."""
SPENT = (
    "The computing that one visit may ask for is used up; what you have seen stays here. Run the lab on your own machine, "
    "or come back later."
)


@cache
def limits() -> Limits:
    """What an experiment may cost behind this page; without a server that says so, the memory of the machine.

    Raises ``LabError`` for a bound that is no number.
    """
    from lab.experiments.cost.limits import Limits
    from lab.machine.resources import memory

    return Limits(bytes=_bound(MAX_BYTES, memory()), seconds=_bound(MAX_SECONDS, float("inf")))


def check(experiment: Experiment) -> None:
    """Raise ``LabError`` where an experiment costs more than is allowed, or nothing is left to pay for it."""
    from lab import LabError

    if spent():
        raise LabError(SPENT)
    limits().check(experiment)


def left_s() -> float:
    """Processor seconds that this kernel may still use."""
    return limits().seconds - time.process_time()


def spent() -> bool:
    """Whether there are none."""
    return left_s() <= 0


def note() -> str:
    """What is left, in a sentence, once that is little; empty before, and after."""
    left, whole = left_s(), limits().seconds
    near = 0 < left <= NEAR * whole < float("inf")
    return f"About {max(1, round(left))} s of computing are left for this visit." if near else ""


def _bound(name: str, otherwise: float) -> float:
    told = os.environ.get(name, "")
    if not told:
        return otherwise
    try:
        found = float(told)
    except ValueError:
        found = 0.0
    if not found > 0:
        from lab import LabError

        raise LabError(f"The server says {name} = {told!r}; it must be a number above 0.")
    return found
