"""What the parts of the paper's attack are good for: each switched off by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from lab.attacks.matching.optimisers.adam import Adam
from lab.attacks.matching.optimisers.base import Schedule
from lab.attacks.matching.optimisers.signed_adam import SignedAdam
from lab.attacks.published import PIXELS_PER_NORMALISED_UNIT, geiping2020_attack
from lab.experiments.experiment import Experiment
from lab.federated.networks.convnet import ConvNet
from lab.studies.base import Cell, Study

STEP = 0.1 * PIXELS_PER_NORMALISED_UNIT


@dataclass(frozen=True)
class Signed(Study):
    """The paper's attack on a narrow ConvNet, whole and without its sign, box, step decay, restarts and total variation."""

    title: ClassVar[str] = "Ablation: sign, box, decay, restarts, total variation"
    paper_item: ClassVar[str] = "Geiping et al. 2020, section 4 and appendix, the parts of the attack"

    def cells(self) -> tuple[Cell, ...]:
        """Whole first."""
        steps = self.steps(300, 4000)
        whole = geiping2020_attack(steps, 0.1, 1e-2, restarts=2)
        without = {
            "the whole attack, 2 restarts": whole,
            "without the sign": replace(whole, optimiser=Adam(step=STEP, schedule=Schedule.STEPS)),
            "without the box": replace(whole, boxed=False),
            "without the step decay": replace(whole, optimiser=SignedAdam(step=STEP, schedule=Schedule.CONSTANT)),
            "without restarts": replace(whole, restarts=1),
            "without total variation": replace(whole, priors=()),
        }
        smaller = ("ConvNet of width 8", f"{steps} iterations instead of 4000") if self.small else ()
        network = ConvNet(width=8 if self.small else 64)
        return tuple(
            self.cell(title, Experiment(network=network, attack=attack), smaller=smaller) for title, attack in without.items()
        )
