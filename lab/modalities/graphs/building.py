"""Graphs as tensors: kinds one-hot, bonds as a symmetric matrix, and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from lab.lazy import Float, Tensor, torch

from lab.federated.tensors import Inputs

if TYPE_CHECKING:
    import networkx as nx

Graph = tuple[list[int], list[tuple[int, int]]]
"""Kinds of the nodes, and the pairs that are bound."""
IS_THERE = 0.5
"""An atom or a bond that is likelier than not is drawn."""


def batch_of(graphs: Sequence[Graph], kinds: int, size: int = 0) -> dict[str, Tensor]:
    """Graphs as one batch, filled up with zeros to the largest or to ``size`` nodes."""
    nodes = max(size, *(len(labels) for labels, _ in graphs))
    atoms = torch.zeros(len(graphs), nodes, kinds, dtype=torch.float32)
    bonds = torch.zeros(len(graphs), nodes, nodes, dtype=torch.float32)
    for place, (labels, edges) in enumerate(graphs):
        atoms[place, range(len(labels)), list(labels)] = 1
        for one, other in edges:
            bonds[place, one, other] = bonds[place, other, one] = 1
    return {"atoms": atoms, "bonds": bonds}


def with_attributes(batch: dict[str, Tensor], tables: Sequence[Tensor]) -> dict[str, Tensor]:
    """The batch with numbers of every node, a table (nodes, attributes) a graph, filled up with zeros."""
    nodes = batch["atoms"].shape[1]
    filled = [torch.nn.functional.pad(table, (0, 0, 0, nodes - len(table))) for table in tables]
    return batch | {"attributes": torch.stack(filled)}


def node_features(inputs: Inputs) -> Float[Tensor, "batch nodes features"]:
    """The kinds, and the attributes where nodes have some, on the CPU, in double precision."""
    assert not isinstance(inputs, Tensor)
    told = [inputs[name] for name in ("atoms", "attributes") if name in inputs]
    return torch.cat(told, -1).detach().cpu().double()


def parts(inputs: Inputs) -> tuple[Float[Tensor, "batch nodes kinds"], Float[Tensor, "batch nodes nodes"]]:
    """Atoms and bonds, on the CPU, in double precision."""
    assert not isinstance(inputs, Tensor)
    return inputs["atoms"].detach().cpu().double(), inputs["bonds"].detach().cpu().double()


def graphs_of(inputs: Inputs) -> list[nx.Graph[int]]:
    """Each of the batch, its nodes coloured by ``kind``; what only fills up is left out."""
    import networkx as nx

    found: list[nx.Graph[int]] = []
    for atoms, bonds in zip(*parts(inputs), strict=True):
        graph: nx.Graph[int] = nx.Graph()
        kinds = [int(kind) for kind in atoms.argmax(-1)]
        there = [node for node in range(len(kinds)) if float(atoms[node].sum()) > IS_THERE]
        graph.add_nodes_from((node, {"kind": kinds[node]}) for node in there)
        bound = bonds > IS_THERE
        graph.add_edges_from((one, other) for one, other in combinations(there, 2) if bool(bound[one, other]))
        found.append(graph)
    return found


def kinds_of(graph: nx.Graph[int]) -> dict[int, int]:
    """The kind of each node."""
    return {node: int(graph.nodes[node]["kind"]) for node in graph}
