"""How alike two graphs are, whatever order their nodes have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from lab.lazy import Float, Int, Tensor, torch

from lab.federated.tensors import Inputs
from lab.modalities.graphs.building import IS_THERE, graphs_of, kinds_of, node_features, parts

if TYPE_CHECKING:
    import networkx as nx

ROUNDS = 3
"""Rounds of colouring after which two layers and a degree cannot tell nodes apart."""


def colours(graph: nx.Graph[int], rounds: int = ROUNDS) -> Counter[object]:
    """How many nodes have each colour of Weisfeiler and Leman, of every round."""
    colour: Mapping[int, object] = kinds_of(graph)
    found: Counter[object] = Counter(colour.values())
    for step in range(rounds):
        colour = {node: (step, colour[node], _around(graph, colour, node)) for node in graph}
        found.update(colour.values())
    return found


def _around(graph: nx.Graph[int], colour: Mapping[int, object], node: int) -> frozenset[tuple[object, int]]:
    return frozenset(Counter(colour[other] for other in graph[node]).items())


def alike(one: Counter[object], other: Counter[object]) -> float:
    """Cosine of two histograms: 1 for equal ones."""
    product = sum(count * other[colour] for colour, count in one.items())
    sizes = sum(count**2 for count in one.values()) * sum(count**2 for count in other.values())
    return product / sizes**0.5 if sizes else float(one == other)


def mapping(one: nx.Graph[int], other: nx.Graph[int]) -> dict[int, int] | None:
    """An isomorphism that keeps kinds, from nodes of the one to nodes of the other; None where there is none."""
    import networkx as nx

    if colours(one) != colours(other):
        return None
    matcher = nx.isomorphism.GraphMatcher(one, other, node_match=_of_one_kind)
    return dict(matcher.mapping) if matcher.is_isomorphic() else None


def _of_one_kind(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    return one["kind"] == other["kind"]


def isomorphic(found: Inputs, truth: Inputs) -> Float[Tensor, " batch"]:
    """1 where both are one graph."""
    pairs = zip(graphs_of(found), graphs_of(truth), strict=True)
    return torch.tensor([float(mapping(one, other) is not None) for one, other in pairs], dtype=torch.float32)


def same_neighbourhoods(found: Inputs, truth: Inputs) -> Float[Tensor, " batch"]:
    """1 where the colours of every round are equally many."""
    pairs = zip(graphs_of(found), graphs_of(truth), strict=True)
    return torch.tensor([float(colours(one) == colours(other)) for one, other in pairs], dtype=torch.float32)


def atom_error(found: Inputs, truth: Inputs) -> Float[Tensor, " batch"]:
    """Mean square error of kinds and attributes, nodes aligned; of the nodes that the private graph has."""
    said, wanted = node_features(_aligned(found, truth)), node_features(truth)
    there = parts(truth)[0].sum(-1) > IS_THERE
    return torch.stack([(s[t] - w[t]).square().mean() for s, w, t in zip(said, wanted, there, strict=True)])


def bond_auc(found: Inputs, truth: Inputs) -> Float[Tensor, " batch"]:
    """Area under the curve of telling bonds from pairs without one, nodes aligned; 1 where there is nothing to tell."""
    _, bonds = parts(_aligned(found, truth))
    atoms, wanted = parts(truth)
    told = zip(bonds, wanted, atoms.sum(-1) > IS_THERE, strict=True)
    return torch.tensor([_area(*each) for each in told], dtype=torch.float32)


def _area(bonds: Tensor, wanted: Tensor, there: Tensor) -> float:
    one, other = torch.triu_indices(int(there.sum()), int(there.sum()), 1)
    said, true = bonds[there][:, there][one, other], wanted[there][:, there][one, other] > IS_THERE
    inside, outside = said[true].unsqueeze(1), said[~true].unsqueeze(0)
    if not inside.numel() or not outside.numel():
        return 1.0
    return float((inside > outside).double().mean() + (inside == outside).double().mean() / 2)


def _aligned(found: Inputs, truth: Inputs) -> dict[str, Tensor]:
    """The reconstructions, each with its nodes in the order that suits its private graph best."""
    assert not isinstance(found, Tensor)
    order = [order for order, _ in orders(found, truth)]

    def turned(name: str, tensor: Tensor) -> Tensor:
        rows = [own[turn] for own, turn in zip(tensor.detach().cpu().double(), order, strict=True)]
        return torch.stack([row[:, turn] for row, turn in zip(rows, order, strict=True)] if name == "bonds" else rows)

    return {name: turned(name, tensor) for name, tensor in found.items()}


def orders(found: Inputs, truth: Inputs) -> list[tuple[Int[Tensor, " nodes"], bool]]:
    """Of each pair which node of the reconstruction stands for each private one, and whether both are one graph."""
    (_, bonds), atoms = parts(found), node_features(found)
    (_, wanted_bonds), wanted_atoms = parts(truth), node_features(truth)
    has_attributes = "attributes" in truth  # then an isomorphism that keeps kinds may still exchange nodes
    listed: list[tuple[Int[Tensor, " nodes"], bool]] = []
    for place, (one, other) in enumerate(zip(graphs_of(truth), graphs_of(found), strict=True)):
        exact = None if has_attributes else mapping(one, other)
        listed.append(
            (_nearest(wanted_atoms[place], wanted_bonds[place], atoms[place], bonds[place]), False)
            if exact is None
            else (_completed(exact, len(atoms[place])), True)
        )
    return listed


def _completed(exact: dict[int, int], size: int) -> Int[Tensor, " nodes"]:
    """The mapping, with what fills up in any order."""
    left = iter(sorted(set(range(size)) - set(exact.values())))
    return torch.tensor([exact[node] if node in exact else next(left) for node in range(size)], dtype=torch.long)


def _nearest(wanted: Tensor, wanted_bonds: Tensor, atoms: Tensor, bonds: Tensor) -> Int[Tensor, " nodes"]:
    """By least square difference of what nodes are, and of what stands one and two bonds away."""
    return assigned(torch.cdist(_signature(wanted, wanted_bonds), _signature(atoms, bonds)).square())


def _signature(atoms: Tensor, bonds: Tensor) -> Tensor:
    once = bonds @ atoms
    return torch.cat([2 * atoms, once, bonds @ once / 4], -1)


def assigned(costs: Float[Tensor, "wanted offered"]) -> Int[Tensor, " wanted"]:
    """For each row the column that makes the least sum, none taken twice."""
    from scipy.optimize import linear_sum_assignment  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

    _, columns = cast("tuple[object, object]", linear_sum_assignment(costs.nan_to_num(1e9).numpy()))
    return torch.as_tensor(columns)
