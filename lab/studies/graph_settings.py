"""What of a graph network lets a graph be read: its nonlinearity, its width, and whether nodes are told their degree."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

from lab.attacks.neighbourhoods import Neighbourhoods
from lab.experiments.experiment import Experiment
from lab.federated.networks.base import Activation
from lab.federated.networks.gcn import GCN
from lab.studies.base import Cell, Study
from lab.studies.graph_rows import graph_cell

ACTIVATIONS = (Activation.RELU, Activation.GELU, Activation.TANH)
WIDTHS = (64, 300)


@dataclass(frozen=True)
class GraphSettings(Study):
    """Neighbourhoods read from a GCN: nonlinearity by width by degree feature, on MUTAG or molecules that ship."""

    title: ClassVar[str] = "Graphs: nonlinearity, width and degree feature"
    paper_item: ClassVar[str] = (
        "After GRAIN (Drencheva et al., ICLR 2025), whose networks are told the degree; its figures are no match"
    )
    small_images: ClassVar[int] = 6
    also_told: ClassVar[tuple[str, ...]] = ("outcome",)

    def cells(self) -> tuple[Cell, ...]:
        """Told the degree first, then not."""
        return tuple(
            graph_cell(
                self,
                f"{activation.value}, width {width}, {'told' if degree else 'not told'} the degree",
                Experiment(network=GCN(activation=activation, width=width, degree=degree), attack=Neighbourhoods()),
                "MUTAG",
            )
            for degree, activation, width in product((True, False), ACTIVATIONS, WIDTHS)
        )
