"""Where atoms are drawn: always at the same places for the same graph, and of two alike graphs the same way round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

from lab.lazy import Float, Int, Tensor, np

Place = tuple[float, float]
Edges = tuple[tuple[int, int], ...]
MAX_NODES = 80
"""A larger graph is laid on a circle: bonds as springs would take seconds."""
BETWEEN_PIECES = 2
"""Bonds that two atoms stand apart which no bonds join, beyond the farthest that some do."""


def places(bonds: Float[Tensor, "nodes nodes"]) -> list[Place]:
    """Of each node, in [0, 1]: bonds as springs of one length where each is there or not, else a circle."""
    nodes = len(bonds)
    return list(_by_springs(nodes, edges_of(bonds), None)) if _is_drawn(bonds) else _circle(nodes)


def places_like(
    bonds: Float[Tensor, "nodes nodes"], other: Sequence[Place], order: Int[Tensor, " nodes"], *, same: bool
) -> list[Place]:
    """The same beside another drawing, whose node i stands for node ``order[i]`` of this graph.

    At those very places where both are the ``same`` graph; else turned to lie as near to them as can be.
    """
    if len(other) != len(bonds) or not (same or _is_drawn(bonds)):
        return places(bonds)
    wanted = [other[0]] * len(bonds)
    for mine, place in zip(order, other, strict=True):
        wanted[int(mine)] = place
    return wanted if same else list(_by_springs(len(bonds), edges_of(bonds), tuple(wanted)))


def edges_of(bonds: Float[Tensor, "nodes nodes"]) -> Edges:
    """The pairs that are bound, each once."""
    return tuple((int(one), int(other)) for one, other in bonds.triu(1).nonzero())


def _is_drawn(bonds: Tensor) -> bool:
    return len(bonds) <= MAX_NODES and bool(((bonds == 0) | (bonds == 1)).all()) and bool(bonds.any())


def _circle(nodes: int) -> list[Place]:
    turns = [2 * math.pi * node / nodes for node in range(nodes)]
    return [(0.5 + 0.5 * math.cos(turn), 0.5 + 0.5 * math.sin(turn)) for turn in turns]


@lru_cache(maxsize=64)
def _by_springs(nodes: int, edges: Edges, wanted: tuple[Place, ...] | None) -> tuple[Place, ...]:
    """The same again for every frame of a run, so it is kept."""
    import networkx as nx

    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(nodes))
    graph.add_edges_from(edges)
    layout = cast("dict[int, Any]", nx.kamada_kawai_layout(graph, dist=_apart(graph)))
    found = np.stack([layout[node] for node in range(nodes)])
    if wanted is not None:
        found = _turned(found, np.array(wanted))
    low, high = found.min(0), found.max(0)
    found = 0.5 + (found - (low + high) / 2) / max(float((high - low).max()), 1e-9)
    return tuple((float(x), float(y)) for x, y in found.clip(0, 1))


def _apart(graph: Any) -> dict[int, dict[int, int]]:
    """Bonds between any two nodes; pieces stand near one another, where a bond would be endless."""
    import networkx as nx

    joined = {node: dict(reached) for node, reached in nx.all_pairs_shortest_path_length(graph)}
    far = max(steps for reached in joined.values() for steps in reached.values()) + BETWEEN_PIECES
    return {one: {other: joined[one].get(other, far) for other in graph} for one in graph}


def _turned(found: Any, wanted: Any) -> Any:
    """Turned and mirrored so that each stands as near as can be to where it is wanted (orthogonal Procrustes)."""
    left, _, right = np.linalg.svd((found - found.mean(0)).T @ (wanted - wanted.mean(0)))
    return (found - found.mean(0)) @ left @ right
