"""Table 2: federated averaging, where the client trains before it sends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from lab.attacks.published import geiping2020_attack
from lab.experiments.experiment import Experiment
from lab.experiments.recommended import recommended_attack
from lab.federated.networks.convnet import ConvNet
from lab.federated.protocols.fedavg import FedAvg
from lab.studies.base import Cell, Mark, PaperNumber, Study

TAU = 1e-4


@dataclass(frozen=True)
class _Setting:
    """E epochs over n pictures in batches of B, and what the paper reached."""

    epochs: int
    pictures: int
    batch: int
    paper: PaperNumber | None

    @property
    def title(self) -> str:
        """In the table's letters."""
        return f"E = {self.epochs}, n = {self.pictures}, B = {self.batch}"

    @property
    def steps(self) -> int:
        """Local SGD steps."""
        return self.epochs * self.pictures // self.batch


_SETTINGS = (
    _Setting(1, 4, 2, PaperNumber(16.92, 2.10, Mark.RECALLED)),
    _Setting(1, 8, 2, PaperNumber(14.66, 1.12, Mark.RECALLED)),
    _Setting(1, 8, 8, PaperNumber(16.49, 1.02, Mark.RECALLED)),
    _Setting(5, 1, 1, PaperNumber(25.05, 3.28, Mark.RECALLED)),
    _Setting(5, 8, 8, PaperNumber(16.58, 0.96, Mark.RECALLED)),
    _Setting(100, 1, 1, None),
)


@dataclass(frozen=True)
class Table2(Study):
    """Federated averaging on ConvNet64: five settings of the paper, and a hundred local steps."""

    title: ClassVar[str] = "Table 2: federated averaging"
    paper_item: ClassVar[str] = "Geiping et al. 2020, Table 2, ConvNet, tau = 1e-4"
    small_images: ClassVar[int] = 2

    def cells(self) -> tuple[Cell, ...]:
        """Ours, which takes the local steps for one, in each setting; the paper's beside it within the paper's budget."""
        return tuple(cell for setting in _SETTINGS for cell in self._cells(setting))

    def _cells(self, setting: _Setting) -> Iterator[Cell]:
        steps = self.steps(200, 2000)
        smaller = (f"{steps} iterations instead of 8000",) if self.small else ()
        network = ConvNet()
        experiment = Experiment(
            network=network,
            batch_size=setting.pictures,
            protocol=FedAvg(local_steps=setting.steps, batch_size=setting.batch, learning_rate=TAU),
            attack=replace(recommended_attack(network, trained=False, pictures=setting.pictures), iterations=steps),
        )
        yield self.cell(f"{setting.title}, this lab's attack", experiment, setting.paper, smaller=smaller)
        if not self.small:
            papers = replace(experiment, attack=geiping2020_attack(self.steps(8000, 8000), 0.1, 1e-6))
            yield self.cell(f"{setting.title}, the paper's attack", papers, setting.paper)
