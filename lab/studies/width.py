"""Width: wider networks leak more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from lab.experiments.experiment import Experiment
from lab.experiments.recommended import recommended_attack
from lab.federated.networks.convnet import ConvNet
from lab.studies.base import Cell, Mark, PaperNumber, Study

_PAPER = {16: PaperNumber(19.0, None, Mark.RECALLED), 128: PaperNumber(23.0, None, Mark.RECALLED)}


@dataclass(frozen=True)
class Width(Study):
    """The ConvNet with 16 to 128 channels in its first block, untrained."""

    title: ClassVar[str] = "Width: from 16 to 128 channels"
    paper_item: ClassVar[str] = "Geiping et al. 2020, section 5, the ConvNet's width"
    small_images: ClassVar[int] = 2

    def cells(self) -> tuple[Cell, ...]:
        """One width a row."""
        return tuple(self._row(ConvNet(width=width)) for width in (16, 32, 64, 128))

    def _row(self, network: ConvNet) -> Cell:
        steps = self.steps(200, 4000)
        smaller = (f"{steps} iterations instead of 4000",) if self.small else ()
        attack = replace(recommended_attack(network, trained=False), iterations=steps)
        experiment = Experiment(network=network, attack=attack)
        return self.cell(f"width {network.width}", experiment, _PAPER.get(network.width), smaller=smaller)
