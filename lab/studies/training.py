"""Along a training: how well each moment's gradient gives the picture away, and how long that gradient is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from lab.attacks.gradient_matching import GradientMatching
from lab.client.checkpoints.weight_paths import stages
from lab.experiments.experiment import Experiment
from lab.federated.networks.small_convnet import SmallConvNet
from lab.studies.base import Cell, Study


@dataclass(frozen=True)
class Training(Study):
    """The small ConvNet at several moments of one training, with the length of the gradient that it sends."""

    title: ClassVar[str] = "Training: from fresh weights to trained ones"
    paper_item: ClassVar[str] = "Geiping et al. 2020, Table 1, untrained against trained, made continuous"
    small_images: ClassVar[int] = 10
    extra_columns: ClassVar[tuple[str, ...]] = ("gradient's length",)

    def cells(self) -> tuple[Cell, ...]:
        """One moment a row, the earliest first; the shipped weights of 40 epochs last."""
        network, attack = SmallConvNet(), GradientMatching(iterations=self.steps(200, 4000))
        moments = {f"after {epochs:g} epochs": name for epochs, name in stages(network.name).items()}
        return tuple(self._rows(network, attack, moments | {"another training, after 40 epochs": ""}))

    def _rows(self, network: SmallConvNet, attack: GradientMatching, moments: dict[str, str]) -> Iterator[Cell]:
        for title, weights in moments.items():
            experiment = Experiment(network=network, trained=True, weights=weights, attack=attack)
            yield self.cell(title, experiment, smaller=("small ConvNet instead of LeNet and ResNet20-4",))
