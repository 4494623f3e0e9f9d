"""GraphSAGE with the mean of the neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.federated.networks.graph_network import GraphNetwork

if TYPE_CHECKING:
    from lab.federated.graph_layers import ConcatMean


@dataclass(frozen=True)
class GraphSAGE(GraphNetwork):
    """A node beside the mean of its neighbours (Hamilton et al., NeurIPS 2017), pooled into one fully connected layer."""

    def aggregation(self) -> ConcatMean:
        """A node's values, and the mean of those around it."""
        from lab.federated.graph_layers import ConcatMean

        return ConcatMean()
