"""Lesson 5: break a trained network in at most three tries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from lab.attacks.base import Attack
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.distances.euclidean import Euclidean
from lab.attacks.matching.settings import Matching, Start
from lab.client.datasets.gallery import Gallery
from lab.course.exercises.base import Case, Exercise
from lab.errors import LabError
from lab.evaluation.round import Round
from lab.evaluation.scoring import score
from lab.experiments.experiment import Experiment
from lab.experiments.rounds import reconstruct, simulate_round
from lab.modalities.line_up import Verdict
from lab.options.plain import from_plain

MAX_TRIES = 3
MAX_ITERATIONS = 400
BASE = Experiment(dataset=Gallery(first="cat"), trained=True, attack=GradientMatching(distance=Euclidean(), start=Start.NOISE))
"""The cat on the trained network, attacked with the wrong cost."""


def cases(generator: torch.Generator) -> Iterator[Case]:
    """The tries themselves are run, one after another, until one gives the picture away."""
    yield Case((), _judge, "on the trained network")


def _judge(answer: Any) -> str:
    if not isinstance(answer, list | tuple) or not answer or not all(isinstance(one, dict) for one in answer):
        return "give a list of tries, each a dictionary of options of the attack, such as [{'iterations': 100}]."
    if len(answer) > MAX_TRIES:
        return f"these are {len(answer)} tries; you have {MAX_TRIES}. Say first why each should help."
    attacked = simulate_round(BASE)
    tried = [(one, _attempt(attacked, one)) for one in answer]
    return "" if any(fault == "" for _, fault in tried) else _hint(*tried[-1])


def _attempt(attacked: Round, options: dict[str, Any]) -> str:
    """Empty where the picture is recognisable, else how near it came. Raises ``LabError`` for wrong options."""
    attack = from_plain(Attack, {"name": "gradient_matching"} | BASE.to_plain()["attack"] | options)
    if not isinstance(attack, Matching) or attack.iterations * attack.restarts > MAX_ITERATIONS:
        raise LabError(f"Iterations times restarts may be {MAX_ITERATIONS} in all; here it is not patience that is missing.")
    *_, last = reconstruct(replace(BASE, attack=attack), attacked.observation)
    found = score(attacked, last)
    return "" if found.verdict is Verdict.RECOGNISABLE else f"likeness {found.likeness:.2f}"


def _hint(options: dict[str, Any], fault: str) -> str:
    distance = options.get("distance", {"name": "euclidean"})
    name = distance.get("name") if isinstance(distance, dict) else distance
    if name == "euclidean":
        return f"still hidden ({fault}): you compare lengths, which tell how surprised the network is. Which cost does not?"
    if name == "balanced_euclidean":
        return f"not yet ({fault}): the layers are balanced now, but you still compare lengths. Which cost does neither?"
    if name == "balanced_cosine":
        return f"nearly ({fault}): this cost weighs layers fairly, but the steps ran out; {MAX_ITERATIONS} are allowed."
    return (
        f"still hidden ({fault}): {name} lets the loudest layer drown the others, or the smoothing is off. What weighs layers?"
    )


EXERCISE = Exercise(
    lesson=5,
    task="three_tries(): at most three attacks on the trained network, as dictionaries of options, one of which succeeds",
    praise="A trained network gives less away, yet enough for whoever compares directions and lets no layer drown the others.",
    cases=cases,
)
