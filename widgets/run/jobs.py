"""What the worker thread does for the session: plain functions that know nothing of traits or of the page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from widgets.run import allowance
from widgets.run.frames import Post

if TYPE_CHECKING:
    from lab import AttackState, Experiment, Round
    from widgets.run.worker import Valve

RUN_LIMIT_S = 1800.0
"""No attack takes longer than this, pauses not counted."""
OVER_THE_LIMIT = "Stopped after half an hour of attack, the longest that a page may take; gradlab run has no such limit."


def load() -> None:
    """Import what the page needs soon, torch first of all."""
    import lab.evaluation.scores
    import lab.experiments.rounds  # noqa: F401


def simulate(experiment: Experiment) -> tuple[Round, str]:
    """The round, and the device that it was computed on, in words.

    Every experiment passes here, whoever asks for it. Raises ``LabError`` for one that costs more than is allowed.
    """
    from lab import device, simulate_round

    allowance.check(experiment)
    attacked = simulate_round(experiment)
    return attacked, device.describe(attacked.observation.device, attacked.observation.network)


def allow_way_down(experiment: Experiment) -> None:
    """Raise ``LabError`` where undoing the layers of this experiment's network costs more than is allowed."""
    from lab.attacks.recursive import Recursive

    allowance.check(replace(experiment, attack=Recursive(hand_over=False)))


def drive(
    experiment: Experiment,
    attacked: Round,
    valve: Valve,
    deliver: Callable[[Post], None],
    rest_s: Callable[[AttackState], float],
    watched: Callable[[], bool],
) -> str:
    """Ask the attack for states while the valve lets them through; returns the sentence about how it ended.

    ``deliver`` gets each state with the seconds that the attack itself has taken; ``rest_s`` says how long a
    state is to be looked at, ``watched`` whether somebody looks at the layers.
    """
    from lab.attacks.base import Interrupted
    from lab.experiments.driving import drive as driven
    from widgets.readouts.layer_match import LayerWatch

    look = LayerWatch(attacked)
    with driven(experiment, attacked.observation) as attack:
        while attack.seconds < RUN_LIMIT_S and not allowance.spent() and valve.take():
            began = time.perf_counter()
            state = next(attack)
            deliver(Post(state, attack.seconds, look(state, wanted=watched())))
            if state.outcome is not None:
                return f"{state.outcome.value} {state.note}".strip()
            valve.rest(rest_s(state) - (time.perf_counter() - began))
        if valve.stopped:
            return Interrupted.STOPPED.value
        return allowance.SPENT if allowance.spent() else OVER_THE_LIMIT
