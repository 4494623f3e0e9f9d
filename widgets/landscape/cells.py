"""One cell: a whole attack, kept as a small picture, a verdict and what it cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from widgets.run.frames import pixels

if TYPE_CHECKING:
    from lab import Experiment

SIDE = 32
"""Pixels of a cell's picture."""


@dataclass(frozen=True, eq=False)
class Cell:
    """What an attack came to."""

    verdict: str
    place: str
    """In the line-up, as "1/8"."""
    score: str
    """The modality's main measure, in words."""
    seconds: float
    """Of processor, the attack alone."""
    picture: np.ndarray
    """uint8, (SIDE, SIDE, 3): what was found of the first private picture."""


def computed(experiment: Experiment, stopped: Callable[[], bool] = lambda: False) -> Cell | None:
    """Simulate, attack, judge; None where it was ``stopped`` before the end. Raises what the attack raises."""
    from lab import score, simulate_round
    from lab.evaluation.scores import reconstructions
    from lab.experiments.driving import drive
    from lab.federated.inputs import first

    attacked = simulate_round(experiment)
    with drive(experiment, attacked.observation) as attack:
        for _ in attack:
            if stopped():
                return None
    last, seconds = attack.state, attack.cpu_seconds
    assert last is not None
    scores = score(attacked, last)
    modality = experiment.modality
    image = pixels(first(reconstructions(attacked, last)))[0]
    step = max(1, image.shape[0] // SIDE)
    return Cell(
        verdict=scores.verdict.value,
        place=f"{scores.line_up_rank}/{scores.line_up_size}",
        score=modality.measures[modality.main].told(scores.measures[modality.main]),
        seconds=seconds,
        picture=np.ascontiguousarray(image[::step, ::step][:SIDE, :SIDE]),
    )
