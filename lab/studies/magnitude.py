"""The half-loss puzzle: the client's loss was 0.5 times the attacker's, and only one distance noticed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.attacks.published import geiping2020_attack, zhu2019_attack
from lab.client.defences.scaling import Scaling
from lab.experiments.experiment import Experiment
from lab.federated.networks.lenet import LeNet
from lab.studies.base import Cell, Study


@dataclass(frozen=True)
class Magnitude(Study):
    """A whole and a halved gradient, attacked by direction (blind to length) and by squared difference (not)."""

    title: ClassVar[str] = "Magnitude: half the loss"
    paper_item: ClassVar[str] = "The authors' code until March 2021: 0.5 x cross entropy at the client, 1 x at the attacker"

    def cells(self) -> tuple[Cell, ...]:
        """Each distance with the whole and with half the gradient."""
        attacks = {
            "cosine": geiping2020_attack(self.steps(1200, 4800), 0.1, 1e-2),
            "squared Euclidean, L-BFGS": zhu2019_attack(self.steps(300, 500)),
        }
        sent = {"the whole gradient": (), "half of it": (Scaling(strength=0.5),)}
        return tuple(
            self.cell(f"{title}, {what}", Experiment(network=LeNet(), attack=attack, defences=defences))
            for title, attack in attacks.items()
            for what, defences in sent.items()
        )
