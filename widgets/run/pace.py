"""How long a state is looked at, and what that makes of a run: its rate, and the time that is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab import AttackState
    from widgets.run.frames import Post

PACE_S = 6.0
MOST_REST_S = 0.75
"""The pace never rests longer before a state: an attack of few states is not made to crawl."""


def rest_s(state: AttackState, pace_s: float) -> float:
    """What a run of ``pace_s`` seconds in all wants between two states, in seconds."""
    return min(MOST_REST_S, pace_s / max(1, state.iterations))


def progress(post: Post, pace_s: float) -> dict[str, Any]:
    """How far the run has come, as the session's traits say it."""
    state, seconds = post.state, post.seconds
    rate = state.iteration / seconds if seconds > 0 else 0.0
    slowest = max(1 / rate if rate else 0.0, rest_s(state, pace_s))
    return {
        "iteration": state.iteration,
        "iterations": state.iterations,
        "attack_seconds": seconds,
        "iterations_per_second": rate,
        "seconds_left": (state.iterations - state.iteration) * slowest,
    }
