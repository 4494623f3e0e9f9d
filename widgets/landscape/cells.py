"""What a whole attack came to: a verdict, what it cost, and as a cell of the map a small picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from widgets.run.frames import pixels

if TYPE_CHECKING:
    from lab import AttackState, Experiment, Round

SIDE = 32
"""Pixels of a cell's picture."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an attack came to, in words."""

    verdict: str
    place: str
    """In the line-up, as "1/8"."""
    score: str
    """The modality's main measure, in words."""
    seconds: float
    """Of processor, the attack alone."""


@dataclass(frozen=True, eq=False)
class Cell(Outcome):
    """The same with a picture."""

    picture: np.ndarray
    """uint8, (SIDE, SIDE, 3): what was found of the first private picture."""


def computed(experiment: Experiment, stopped: Callable[[], bool] = lambda: False) -> Cell | None:
    """Simulate, attack, judge; None where it was ``stopped`` before the end. Raises what the attack raises."""
    from lab.evaluation.reconstructions import reconstructions
    from lab.federated.inputs import first

    if (found := _attacked(experiment, stopped)) is None:
        return None
    attacked, last, words = found
    image = pixels(first(reconstructions(attacked, last)))[0]
    step = max(1, image.shape[0] // SIDE)
    return Cell(**words, picture=np.ascontiguousarray(image[::step, ::step][:SIDE, :SIDE]))


def outcome(experiment: Experiment) -> Outcome:
    """The words alone, which inputs of every kind have. Raises what the attack raises."""
    found = _attacked(experiment, lambda: False)
    assert found is not None, "nobody stops it"
    return Outcome(**found[2])


def _attacked(experiment: Experiment, stopped: Callable[[], bool]) -> tuple[Round, AttackState, dict[str, Any]] | None:
    from lab import score, simulate_round
    from lab.experiments.driving import drive

    attacked = simulate_round(experiment)
    with drive(experiment, attacked.observation) as attack:
        for _ in attack:
            if stopped():
                return None
    last, seconds = attack.state, attack.cpu_seconds
    assert last is not None
    scores = score(attacked, last)
    modality = experiment.modality
    told = modality.measures[modality.main].told(scores.measures[modality.main])
    place = f"{scores.line_up_rank}/{scores.line_up_size}"
    return attacked, last, {"verdict": scores.verdict.value, "place": place, "score": told, "seconds": seconds}
