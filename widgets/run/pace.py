"""How long a state is looked at, and what that makes of a run: its rate, and the time that is left."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from widgets.run.frames import Post

PACE_S = 6.0
MOST_REST_S = 0.75
"""The pace never rests longer before a state: an attack of few states is not made to crawl."""


def rest_s(iteration: int, iterations: int, pace_s: float) -> float:
    """What a run of ``pace_s`` seconds in all wants between two states, in seconds.

    Time goes by the logarithm of the iteration: a guess changes most at the beginning.
    """
    share = math.log1p(1 / (1 + iteration)) / math.log1p(max(1, iterations))
    return min(MOST_REST_S, pace_s * share)


def seconds_left(iteration: int, iterations: int, pace_s: float, rate: float) -> float | None:
    """What the rest of a run takes: first the pace's rests, then, where these are shorter, the attack's own steps.

    None where that is not known: before the first step, and of a run that has gone further than it told.
    """
    if rate <= 0 or iteration > iterations:
        return None
    unit = pace_s / math.log1p(max(1, iterations))
    turn = min(iterations, max(iteration, round(unit * rate) - 1))
    return unit * math.log((1 + turn) / (1 + iteration)) + (iterations - turn) / rate


def progress(post: Post, pace_s: float) -> dict[str, Any]:
    """How far the run has come, as the session's traits say it."""
    state, seconds = post.state, post.seconds
    rate = state.iteration / seconds if seconds > 0 else 0.0
    return {
        "iteration": state.iteration,
        "iterations": state.iterations,
        "attack_seconds": seconds,
        "iterations_per_second": rate,
        "seconds_left": seconds_left(state.iteration, state.iterations, pace_s, rate),
    }
