"""How long a state is looked at, and what that makes of a run: its rate, and the time that is left."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from widgets.run.frames import Post

PACE_S = 6.0
MAX_REST_S = 0.75
"""The pace never rests longer before a state: an attack of few states is not made to crawl."""


def rest_s(iteration: int, iterations: int, pace_s: float) -> float:
    """What a run of ``pace_s`` seconds in all wants between two states, in seconds.

    Time goes by the logarithm of the iteration: a guess changes most at the beginning.
    """
    share = math.log1p(1 / (1 + iteration)) / math.log1p(max(1, iterations))
    return min(MAX_REST_S, pace_s * share)


def seconds_left(iteration: int, iterations: int, pace_s: float, rate: float) -> float | None:
    """What the rest of a run takes: first the pace's rests, then, where these are shorter, the attack's own steps.

    None where that is not known: before the first step, and of a run that has gone further than it told.
    """
    if rate <= 0 or iteration > iterations:
        return None
    unit = pace_s / math.log1p(max(1, iterations))
    turn = min(iterations, max(iteration, round(unit * rate) - 1))
    return unit * math.log((1 + turn) / (1 + iteration)) + (iterations - turn) / rate


class Rate:
    """Iterations a second over the later half of what is done: the first ones load what later ones need."""

    def __init__(self) -> None:
        self._iterations, self._seconds = [0], [0.0]

    def __call__(self, iteration: int, seconds: float) -> float:
        """After so many iterations in so many seconds of attack; 0 before there are any. A restart counts anew."""
        if iteration < self._iterations[-1]:
            self._iterations, self._seconds = [iteration], [seconds]
        half = bisect_right(self._iterations, (self._iterations[0] + iteration) / 2) - 1
        done, spent = iteration - self._iterations[half], seconds - self._seconds[half]
        self._iterations.append(iteration)
        self._seconds.append(seconds)
        return done / spent if spent > 0 else 0.0


def progress(post: Post, pace_s: float) -> dict[str, Any]:
    """How far the run has come, as the session's traits say it."""
    state, rate = post.state, post.rate
    return {
        "iteration": state.iteration,
        "iterations": state.iterations,
        "attack_seconds": post.seconds,
        "iterations_per_second": rate,
        "seconds_left": seconds_left(state.iteration, state.iterations, pace_s, rate),
    }
