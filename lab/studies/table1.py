"""Table 1: one picture, four networks, the baseline against the paper's attack against ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from lab.attacks.base import Attack
from lab.attacks.head_start import HeadStart
from lab.attacks.matching.optimisers.lbfgs import LBFGS
from lab.attacks.published import geiping2020_attack, smooth_network_attack, zhu2019_attack
from lab.attacks.recursive import Recursive
from lab.client import checkpoints
from lab.experiments.experiment import Experiment
from lab.experiments.recommended import recommended_matching
from lab.federated.networks.base import Network
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.resnet import ResNet
from lab.studies.base import Cell, Mark, PaperNumber, Study

WIDE, NARROW = ResNet(depth=20, widen=4), ResNet(depth=20, widen=1)
PAPERS_STEPS = 4800
BASELINES_STEPS = 500 * 20
"""The authors' code calls torch's L-BFGS 500 times, and each call takes up to 20 quasi-Newton steps; here a step is one."""


@dataclass(frozen=True)
class _Column:
    """One network of the table with the paper's two numbers."""

    title: str
    network: Network
    trained: bool
    baseline: PaperNumber
    paper: PaperNumber


_COLUMNS = (
    _Column(
        "LeNet untrained", LeNet(), False, PaperNumber(46.25, 12.66, Mark.RECALLED), PaperNumber(18.00, 3.33, Mark.VERIFIED)
    ),
    _Column("LeNet trained", LeNet(), True, PaperNumber(13.24, 5.44, Mark.RECALLED), PaperNumber(18.08, 4.27, Mark.RECALLED)),
    _Column(
        "ResNet20-4 untrained", WIDE, False, PaperNumber(10.29, 5.38, Mark.RECALLED), PaperNumber(19.83, 2.96, Mark.RECALLED)
    ),
    _Column("ResNet20-4 trained", WIDE, True, PaperNumber(6.90, 2.80, Mark.RECALLED), PaperNumber(13.95, 3.38, Mark.RECALLED)),
)


@dataclass(frozen=True)
class Table1(Study):
    """Euclidean distance and L-BFGS, the paper's attack, and this lab's, on LeNet and ResNet20-4, untrained and trained."""

    title: ClassVar[str] = "Table 1: one picture at a time"
    paper_item: ClassVar[str] = "Geiping et al. 2020, Table 1, the first 100 pictures of CIFAR-10's validation set"

    def cells(self) -> tuple[Cell, ...]:
        """Each network with each attack."""
        return tuple(cell for column in _COLUMNS for cell in self._cells(column))

    def _cells(self, column: _Column) -> Iterator[Cell]:
        small = isinstance(column.network, LeNet)
        paper, baseline = self.steps(PAPERS_STEPS if small else 200, PAPERS_STEPS), self.steps(200, BASELINES_STEPS)
        yield self._cell(column, "Euclidean + L-BFGS", zhu2019_attack(baseline), column.baseline, BASELINES_STEPS)
        yield self._cell(column, "the paper's attack", geiping2020_attack(paper, 0.1, 1e-2), column.paper, PAPERS_STEPS)
        yield self._cell(column, "this lab's attack", self._ours(column, paper))
        if small:
            ours = self.steps(2000, PAPERS_STEPS)
            if ours != paper:
                yield self._cell(column, f"the paper's attack for {ours} steps", geiping2020_attack(ours, 0.1, 1e-2))
            yield self._cell(column, f"Adam without the sign for {ours} steps", smooth_network_attack(ours))
        yield self._cell(column, "the closed form", Recursive(iterations=self.steps(200, 200)))

    def _ours(self, column: _Column, steps: int) -> Attack:
        """What the lab recommends: second order with a budget of its own, or first order for as long.

        Without a head start, for the closed form has a line of its own.
        """
        attack = recommended_matching(column.network, trained=column.trained)
        attack = attack.without() if isinstance(attack, HeadStart) else attack
        if isinstance(attack.optimiser, LBFGS):
            steps = self.steps(attack.iterations, attack.iterations)
        return replace(attack, iterations=steps)

    def _cell(
        self, column: _Column, name: str, attack: Attack, paper: PaperNumber | None = None, steps: int | None = None
    ) -> Cell:
        stand_in = column.trained and not checkpoints.available(column.network)
        network = NARROW if stand_in else column.network
        less = "" if not stand_in else "ResNet20-1, whose trained weights are shipped, instead of ResNet20-4"
        taken = getattr(attack, "iterations", 0)
        fewer = f"{taken} iterations instead of {steps}" if steps and taken < steps else ""
        experiment = Experiment(network=network, trained=column.trained, attack=attack)
        return self.cell(f"{column.title}, {name}", experiment, paper, smaller=(fewer, less))
