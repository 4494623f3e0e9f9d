"""Where atoms are drawn: always at the same places for the same graph."""

from __future__ import annotations

import math
from typing import cast

from lab.late import Float, Tensor

Place = tuple[float, float]
MOST_NODES = 80
"""A larger graph is laid on a circle: bonds as springs would take seconds."""


def places(bonds: Float[Tensor, "nodes nodes"]) -> list[Place]:
    """Of each node, in [0, 1]: bonds as springs of one length where each is there or not, else a circle."""
    nodes = len(bonds)
    whole = bool(((bonds == 0) | (bonds == 1)).all()) and bool(bonds.any())
    return _by_springs(bonds) if whole and nodes <= MOST_NODES else _circle(nodes)


def _circle(nodes: int) -> list[Place]:
    turns = [2 * math.pi * node / nodes for node in range(nodes)]
    return [(0.5 + 0.5 * math.cos(turn), 0.5 + 0.5 * math.sin(turn)) for turn in turns]


def _by_springs(bonds: Tensor) -> list[Place]:
    import networkx as nx

    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(len(bonds)))
    graph.add_edges_from((int(one), int(other)) for one, other in bonds.triu(1).nonzero())
    layout = cast("dict[int, tuple[float, float]]", nx.kamada_kawai_layout(graph))
    across, down = zip(*(layout[node] for node in range(len(bonds))), strict=True)
    low, size = (min(across), min(down)), max(max(across) - min(across), max(down) - min(down), 1e-9)
    return [(float((x - low[0]) / size), float((y - low[1]) / size)) for x, y in zip(across, down, strict=True)]
