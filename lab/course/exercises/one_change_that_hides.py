"""Lesson 0: one change on the client's side after which the default attack fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from lab.course.exercises.base import Case, Exercise
from lab.evaluation.scoring import score
from lab.experiments.experiment import Experiment
from lab.experiments.rounds import reconstruct, simulate_round
from lab.modalities.line_up import Verdict

CLIENT = ("batch_size", "network", "trained", "protocol", "defences")
SERVER = ("attack", "labels")


def cases(generator: torch.Generator) -> Iterator[Case]:
    """The change itself is run, on the picture and seed of the lesson."""
    yield Case((), _judge, "in a run")


def _judge(answer: Any) -> str:
    if not isinstance(answer, dict) or not answer:
        return 'give one change as a dictionary, such as {"trained": True}.'
    if len(answer) > 1:
        return f"these are {len(answer)} changes at once; with several nobody knows which one did it. Give one."
    (name,) = answer
    if name in SERVER:
        return "this weakens the server, and nobody can ask it to be stupid; change what the phone does."
    if name in ("dataset", "seed", "image_size"):
        return "another picture or seed is another secret, not a better kept one; change how it is trained or sent."
    return _run(Experiment.from_plain(answer))


def _run(experiment: Experiment) -> str:
    attacked = simulate_round(experiment)
    *_, last = reconstruct(experiment, attacked.observation)
    found = score(attacked, last)
    if found.verdict is Verdict.HIDDEN:
        return ""
    return (
        f"the server still gets somewhere ({found.verdict.value.lower()}, likeness {found.likeness:.2f}): "
        "go further in this direction, or try another."
    )


EXERCISE = Exercise(
    lesson=0,
    task=f"one_change_that_hides(): one change to the default experiment, one of {', '.join(CLIENT)}, that hides the picture",
    praise="With this one change the same attack finds nothing. What it costs the training is the question of lesson 7.",
    cases=cases,
)
