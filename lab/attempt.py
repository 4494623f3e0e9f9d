"""One experiment from the round to the verdict in one call: what lessons and short scripts repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lab.edits import edit
from lab.evaluate import Scores, score
from lab.experiment import Experiment
from lab.rounds import reconstruct, simulate_round
from lab.types import AttackState, Images, Round


@dataclass(frozen=True, eq=False)
class Attempt:
    """An experiment, its round, the last state of the attack and the scores of that state."""

    experiment: Experiment
    attacked: Round
    state: AttackState
    scores: Scores

    @property
    def secret(self) -> Images:
        """The private pictures."""
        return self.attacked.batch.images

    @property
    def found(self) -> Images:
        """The reconstructions."""
        return self.state.candidate


def attempt(**changes: Any) -> Attempt:
    """Attack the default experiment with changes by name, as ``lab.edits`` knows them: ``attempt(trained=True, tv=0.1)``.

    Raises ``LabError`` for a name or value that is not allowed.
    """
    experiment = Experiment()
    for name, value in changes.items():
        experiment = edit(experiment, name, value)
    attacked = simulate_round(experiment)
    *_, last = reconstruct(experiment, attacked.observation)
    return Attempt(experiment, attacked, last, score(attacked, last))
