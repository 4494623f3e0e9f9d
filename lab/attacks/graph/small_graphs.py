"""All graphs of a few nodes, for those that are too small or too even to be told by their neighbourhoods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice, product

import torch
from torch import Tensor

from lab.attacks.graph.bounds import MAX_GRAPHS, TYPES_AT_ONCE
from lab.federated.graph_layers import GraphBody
from lab.modalities.graphs.building import Graph, batch_of

MAX_NODES = 7
"""Nodes of the graphs of the atlas (Read and Wilson 1998)."""


def small_graphs(body: GraphBody, kinds: Sequence[int], nodes: int, pooled: Tensor, near: float) -> Iterator[Graph]:
    """Every graph of so many nodes, of these kinds, that has this pooled vector, up to a share ``near``; some more than once.

    None where there are too many to be tried.
    """
    if nodes > MAX_NODES or len(_shapes(nodes)) * len(kinds) ** nodes > MAX_GRAPHS:
        return
    colourings = [list(chosen) for chosen in product(kinds, repeat=nodes) if set(chosen) == set(kinds)]
    left: Iterator[Graph] = ((chosen, edges) for edges in _shapes(nodes) for chosen in colourings)
    while graphs := list(islice(left, TYPES_AT_ONCE // nodes)):
        batch = {name: tensor.to(pooled) for name, tensor in batch_of(graphs, body.kinds).items()}
        with torch.no_grad():
            made = body(torch.cat([batch["atoms"], batch["bonds"]], -1))
        fits = ((made - pooled).norm(dim=1) <= near * pooled.norm()).nonzero().flatten()
        yield from (graphs[row] for row in fits.tolist())


@cache
def _shapes(nodes: int) -> list[list[tuple[int, int]]]:
    """All graphs of so many nodes, in one order of their nodes each."""
    import networkx as nx

    return [list(graph.edges) for graph in nx.graph_atlas_g() if len(graph) == nodes]
