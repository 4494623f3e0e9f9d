"""Padding: with circular padding nothing tells where a picture lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.settings import Start
from lab.experiments.experiment import Experiment
from lab.federated.networks.base import Padding as Border
from lab.federated.networks.resnet import ResNet
from lab.studies.base import Cell, Study

_TITLES = {Border.ZERO: "zero padding", Border.CIRCULAR: "circular padding"}


@dataclass(frozen=True)
class Padding(Study):
    """A ResNet with zero and with circular padding: the second loses absolute position, so that the best shift tells more."""

    title: ClassVar[str] = "Padding: absolute position"
    paper_item: ClassVar[str] = "Geiping et al. 2020, section 5: with circular padding absolute position cannot be recovered"
    extra_columns: ClassVar[tuple[str, ...]] = ("PSNR after moving it back",)

    def cells(self) -> tuple[Cell, ...]:
        """From noise, because a grey start favours no place either."""
        steps = self.steps(600, 4000)
        return tuple(
            self.cell(
                _TITLES[border],
                Experiment(
                    network=ResNet(depth=8, padding=border), attack=GradientMatching(iterations=steps, start=Start.NOISE)
                ),
                smaller=("ResNet-8 with average pooling instead of the ConvNet",),
            )
            for border in Border
        )
