"""Table 1: one picture, four networks, the baseline against the paper's attack against ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab import checkpoints
from lab.attacks.base import Attack
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.recursive import Recursive
from lab.experiment import Experiment
from lab.networks.base import Network
from lab.networks.lenet import LeNet
from lab.networks.resnet import ResNet
from lab.published_settings import geiping2020_attack, zhu2019_attack
from lab.studies.base import Cell, Mark, PaperNumber, Study

RESNET = ResNet(depth=20, widen=4)


@dataclass(frozen=True)
class _Column:
    """One network of the table with the paper's two numbers."""

    title: str
    network: Network
    trained: bool
    baseline: PaperNumber
    paper: PaperNumber
    iterations: int
    """Of each attack within the small budget."""


_COLUMNS = (
    _Column(
        "LeNet untrained",
        LeNet(),
        False,
        PaperNumber(46.25, 12.66, Mark.RECALLED),
        PaperNumber(18.00, 3.33, Mark.VERIFIED),
        4800,
    ),
    _Column(
        "LeNet trained",
        LeNet(),
        True,
        PaperNumber(13.24, 5.44, Mark.RECALLED),
        PaperNumber(18.08, 4.27, Mark.RECALLED),
        4800,
    ),
    _Column(
        "ResNet20-4 untrained",
        RESNET,
        False,
        PaperNumber(10.29, 5.38, Mark.RECALLED),
        PaperNumber(19.83, 2.96, Mark.RECALLED),
        200,
    ),
    _Column(
        "ResNet20-4 trained",
        RESNET,
        True,
        PaperNumber(6.90, 2.80, Mark.RECALLED),
        PaperNumber(13.95, 3.38, Mark.RECALLED),
        200,
    ),
)


@dataclass(frozen=True)
class Table1(Study):
    """Euclidean distance and L-BFGS, the paper's attack, and this lab's, on LeNet and ResNet20-4, untrained and trained."""

    title: ClassVar[str] = "Table 1: one picture at a time"
    paper_item: ClassVar[str] = "Geiping et al. 2020, Table 1, the first 100 pictures of CIFAR-10's validation set"

    def cells(self) -> tuple[Cell, ...]:
        """Three attacks a network, and the closed form where the network lets it down to the picture."""
        return tuple(cell for column in _COLUMNS for cell in self._cells(column))

    def _cells(self, column: _Column) -> tuple[Cell, ...]:
        iterations, baseline = self.steps(column.iterations, 4800), self.steps(min(column.iterations, 500), 500)
        found = [
            self._cell(column, "Euclidean + L-BFGS", zhu2019_attack(baseline), column.baseline),
            self._cell(column, "the paper's attack", geiping2020_attack(iterations, 0.1, 1e-2), column.paper),
            self._cell(column, "this lab's attack", GradientMatching(iterations=iterations)),
        ]
        if isinstance(column.network, LeNet):
            found.append(self._cell(column, "the closed form", Recursive(iterations=iterations)))
        return tuple(found)

    def _cell(self, column: _Column, name: str, attack: Attack, paper: PaperNumber | None = None) -> Cell:
        network = _weighty(column)
        experiment = Experiment(network=network, trained=column.trained, attack=attack)
        fewer = "" if not self.small or column.iterations == 4800 else f"{column.iterations} iterations instead of 4,800"
        other = "" if column.network == network else "ResNet20-1, whose trained weights are shipped, instead of ResNet20-4"
        return Cell(f"{column.title}, {name}", self.over(experiment), paper, self.fewer(experiment, fewer, other), column.title)


def _weighty(column: _Column) -> Network:
    """The column's network; the narrow one where no trained weights of the wide one are shipped."""
    missing = column.trained and checkpoints.card(column.network) is None
    return ResNet(depth=20, widen=1) if missing else column.network
