"""What the worker thread does for the session: plain functions that know nothing of traits or of the page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from widgets.readouts.layers_inverted import Data, way_down
from widgets.run import allowance
from widgets.run.frames import Places, Post
from widgets.run.judging import evidence_at_the_end
from widgets.run.pace import Rate, rest_s

if TYPE_CHECKING:
    from lab import Experiment, Round
    from lab.evaluation.round import RoundWithoutTruth
    from lab.experiments.driving import Driven
    from lab.experiments.imported_update import ImportedUpdate
    from lab.federated.observation import Observation
    from lab.modalities.base import Shown
    from widgets.run.worker import Gate

RUN_LIMIT_S = 1800.0
"""No attack takes longer than this, pauses not counted."""
OVER_THE_LIMIT = "Stopped after half an hour of attack, the longest that a page may take; gradlab run has no such limit."


def load() -> None:
    """Import what the page needs soon, torch first of all."""
    import lab.evaluation.scoring
    import lab.experiments.rounds  # noqa: F401


def open_update(data: bytes, file: str, beside: Experiment) -> ImportedUpdate:
    """The attack on an update from a file, its network the present one's where that fits. Raises ``LabError``."""
    from lab.experiments.imported_update import import_update

    return import_update(data, file, (beside.network,))


def diagnose(seen: Observation) -> list[str]:
    """What the doctor says of an update, a sentence each."""
    from lab.findings.diagnosis import diagnose as diagnosis_of

    return list(diagnosis_of(seen).sentences)


def simulate(experiment: Experiment) -> tuple[Round | RoundWithoutTruth, str]:
    """The round, or the update that was opened, and the device that it was computed on, in words.

    Every experiment passes here, whoever asks for it. Raises ``LabError`` for one that costs more than is allowed.
    """
    from lab import simulate_round
    from lab.client.datasets.unknown import Unknown
    from lab.experiments.imported_update import round_of
    from lab.machine import devices

    allowance.check(experiment)
    attacked = round_of(experiment) if isinstance(experiment.dataset, Unknown) else simulate_round(experiment)
    return attacked, devices.describe(attacked.observation.device, attacked.observation.network)


def drive(
    experiment: Experiment,
    attacked: Round | RoundWithoutTruth,
    gate: Gate,
    deliver: Callable[[Post], None],
    pace_s: Callable[[], float],
    watched: Callable[[], bool],
    opened: Callable[[], str] = str,
) -> str:
    """Ask the attack for states while the gate lets them through; returns the sentence about how it ended.

    ``deliver`` gets each state with the seconds that the attack itself has taken; ``pace_s`` says how long
    the whole run is to be looked at, ``watched`` whether somebody looks at the layers, ``import_update`` at which most closely.
    """
    from lab.experiments.driving import drive as driven
    from widgets.readouts.guess_readout import GuessReadout

    look, rate = GuessReadout(experiment.attack, attacked), Rate()
    with driven(experiment, attacked.observation) as attack:
        while attack.seconds < RUN_LIMIT_S and not allowance.spent() and gate.take():
            began = time.perf_counter()
            state = next(attack)
            looked, evidence = look(state, wanted=watched(), opened=opened()), evidence_at_the_end(attacked, state)
            deliver(Post(state, attack.seconds, looked, evidence, rate(state.iteration, attack.seconds)))
            if state.outcome is not None:
                return f"{state.outcome.value} {state.note}".strip()
            gate.rest(rest_s(state.iteration, state.iterations, pace_s()) - (time.perf_counter() - began))
    return _cut_short(gate)


@dataclass(frozen=True, eq=False)
class Read:
    """What an attack that takes a moment makes of an input that somebody is making."""

    shown: Shown
    told: str
    """How it ended, in a sentence."""
    sent: dict[str, Any]
    """The update that it was read from, in words."""


def read_at_once(experiment: Experiment, places: Places | None = None) -> Read:
    """All that an attack finds; ``places`` says where the parts of the input stand on its maker's paper.

    Raises ``LabError`` as ``simulate`` does.
    """
    from lab.experiments.driving import drive as driven
    from widgets.run.frames import describe_update, drawn_of

    attacked, _ = simulate(experiment)
    with driven(experiment, attacked.observation) as attack:
        state = attack.finish()
    told = state.outcome.value if state.outcome else ""
    return Read(drawn_of(attacked, state, places), told, describe_update(experiment, attacked))


def race(
    sides: Sequence[tuple[Experiment, Round | RoundWithoutTruth]],
    gate: Gate,
    deliver: Callable[[list[Post]], None],
    pace_s: float,
) -> str:
    """One iteration of each attack in turn, until all have ended; returns the sentence about how.

    ``deliver`` gets the states of each moment; all of them together take about ``pace_s`` seconds, if they can.
    """
    from lab.experiments.driving import drive as driven

    began = time.monotonic()
    posts: list[Post | None] = [None for _ in sides]
    with ExitStack() as stack:
        attacks = [stack.enter_context(driven(experiment, attacked.observation)) for experiment, attacked in sides]
        while time.monotonic() - began < RUN_LIMIT_S and not allowance.spent() and gate.take():
            tick = time.perf_counter()
            newest = [_next(attack, side[1], post) for attack, side, post in zip(attacks, sides, posts, strict=True)]
            posts = [*newest]
            deliver(newest)
            if all(post.state.outcome for post in newest):
                return "All runs are done."
            longest = max(post.state.iterations for post in newest)
            gate.rest(rest_s(max(post.state.iteration for post in newest), longest, pace_s) - (time.perf_counter() - tick))
    return _cut_short(gate)


def _next(attack: Driven, attacked: Round | RoundWithoutTruth, before: Post | None) -> Post:
    """The next state of an attack with its seconds; one that has ended stays where it is."""
    if before is not None and before.state.outcome is not None:
        return before
    state = next(attack)
    return Post(state, attack.seconds, evidence=evidence_at_the_end(attacked, state))


def _cut_short(gate: Gate) -> str:
    """Why an attack has ended that had not come to its own end."""
    from lab.attacks.base import Interrupted

    if gate.stopped:
        return Interrupted.STOPPED.value
    return allowance.SPENT if allowance.spent() else OVER_THE_LIMIT


def go_down(experiment: Experiment, attacked: Round | RoundWithoutTruth, gate: Gate, show: Callable[[Data], None]) -> None:
    """Undo the layers of the round's network one by one; ``show`` gets each update.

    Raises ``LabError`` where that costs more than is allowed, and whatever the attack raises.
    """
    from lab import LabError
    from lab.attacks.recursive import Recursive

    allowance.check(replace(experiment, attack=Recursive(hand_over=False)))
    for found in way_down(experiment, attacked, lambda: gate.stopped or allowance.spent()):
        show(found)
    if allowance.spent():
        raise LabError(allowance.SPENT)
