"""What of a graph network lets a graph be read: nonlinearity, width, precision, and whether nodes are told their degree."""

from __future__ import annotations

from collections.abc import Iterator
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
    """Neighbourhoods read from a GCN: nonlinearity by width by precision by degree feature, on MUTAG or molecules that ship."""

    title: ClassVar[str] = "Graphs: nonlinearity, width, precision and degree feature"
    paper_item: ClassVar[str] = (
        "After GRAIN (Drencheva et al., ICLR 2025), whose networks are told the degree; its figures are no match"
    )
    small_images: ClassVar[int] = 6
    extra_columns: ClassVar[tuple[str, ...]] = ("outcome",)

    def cells(self) -> tuple[Cell, ...]:
        """Told the degree first, then not."""
        return tuple(
            graph_cell(self, _titled(network), Experiment(network=network, attack=Neighbourhoods()), "MUTAG")
            for network in self._networks()
        )

    def _networks(self) -> Iterator[GCN]:
        for degree, activation, width, double in product((True, False), ACTIVATIONS, WIDTHS, (False, True)):
            yield GCN(activation=activation, width=width, double=double, degree=degree)


def _titled(network: GCN) -> str:
    digits, told = "float64" if network.double else "float32", "told" if network.degree else "not told"
    return f"{network.activation.value}, width {network.width}, {digits}, {told} the degree"
