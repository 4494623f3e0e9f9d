"""A graph convolutional network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.federated.networks.graph_network import GraphNetwork

if TYPE_CHECKING:
    from lab.federated.graph_layers import Symmetric


@dataclass(frozen=True)
class GCN(GraphNetwork):
    """Graph convolutions (Kipf and Welling, ICLR 2017), pooled over the atoms into one fully connected layer."""

    def aggregation(self) -> Symmetric:
        """Neighbours and the node itself, weighed by their degrees."""
        from lab.federated.graph_layers import Symmetric

        return Symmetric()
