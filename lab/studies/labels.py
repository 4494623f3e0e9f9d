"""Label inference for batches: four rules, two activations, fresh and trained weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from lab.attacks.label_reading import LabelReading, Rule
from lab.experiments.experiment import Experiment
from lab.federated.networks.base import Activation
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.observation import LabelSource
from lab.studies.base import Cell, Study

_TITLES = {Rule.IDLG: "iDLG", Rule.LLG: "LLG", Rule.GRADINVERSION: "GradInversion", Rule.ILRG: "iLRG"}
_SIZES = (1, 8, 16)


@dataclass(frozen=True)
class Labels(Study):
    """iDLG, LLG, GradInversion and iLRG on batches with repeated labels, below ReLU and SiLU, fresh and trained."""

    title: ClassVar[str] = "Labels: how many of a batch are read off the last layer"
    paper_item: ClassVar[str] = "Zhao et al. 2020; Wainakh et al. 2022; Yin et al. 2021; Ma et al. 2023"
    small_images: ClassVar[int] = 4
    paper_images: ClassVar[int] = 4
    extra_columns: ClassVar[tuple[str, ...]] = ("labels right",)
    main: ClassVar[str] = "labels_right"

    def cells(self) -> tuple[Cell, ...]:
        """Rule by rule for each network and size; the pictures stay grey."""
        return tuple(self._rows())

    def _rows(self) -> Iterator[Cell]:
        networks = {
            "ReLU untrained": (SmallConvNet(), False),
            "SiLU untrained": (SmallConvNet(activation=Activation.SILU), False),
            "ReLU trained": (SmallConvNet(), True),
        }
        for title, (network, trained) in networks.items():
            for size in _SIZES:
                for rule, name in _TITLES.items():
                    experiment = Experiment(
                        batch_size=size,
                        network=network,
                        trained=trained,
                        labels=LabelSource.INFERRED,
                        attack=LabelReading(rule=rule),
                    )
                    pictures = "1 picture" if size == 1 else f"{size} pictures"
                    yield self.cell(f"{title}, {pictures}, {name}", experiment)
