"""One experiment from the round to the verdict in one call: what lessons and short scripts repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lab.attacks.base import AttackState
from lab.attacks.gradient_matching import GradientMatching
from lab.evaluation.round import Round
from lab.evaluation.scores import Scores
from lab.evaluation.scoring import score
from lab.experiments.driving import drive
from lab.experiments.edits import patched
from lab.experiments.experiment import Experiment
from lab.experiments.rounds import simulate_round
from lab.federated.tensors import Inputs


@dataclass(frozen=True, eq=False)
class Attempt:
    """An experiment, its round, the last state of the attack and the scores of that state."""

    experiment: Experiment
    attacked: Round
    state: AttackState
    scores: Scores

    @property
    def secret(self) -> Inputs:
        """The private inputs."""
        return self.attacked.batch.inputs

    @property
    def found(self) -> Inputs:
        """The reconstructions."""
        return self.state.candidate


def attempt(**changes: Any) -> Attempt:
    """Attack the default experiment with changes by name, as by patches: ``attempt(trained=True, tv=0.1)``.

    The attack is the default gradient matching with what is said of it here. It does not follow the network as on the
    page (``lab.experiments.recommended``): a comparison changes one thing. Raises ``LabError`` for what is not allowed.
    """
    experiment = patched(Experiment(), [("attack", GradientMatching()), *changes.items()])
    attacked = simulate_round(experiment)
    with drive(experiment, attacked.observation) as attack:
        last = attack.finish()
    return Attempt(experiment, attacked, last, score(attacked, last))
