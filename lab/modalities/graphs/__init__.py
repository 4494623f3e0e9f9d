"""Graphs: nodes of a few kinds, and which of them are bound; molecules first of all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from lab.lazy import Float, Int, Tensor, no_grad, np, torch

from lab.errors import LabError
from lab.federated.inputs import concatenated, count, moved_to, rows, shape_of, tree_map
from lab.federated.observation import Observation
from lab.federated.tensors import Inputs
from lab.modalities.base import Beside, Leaves, Measure, Modality, Shown
from lab.modalities.graphs.building import IS_THERE, graphs_of, kinds_of
from lab.modalities.graphs.comparison import (
    alike,
    assigned,
    atom_error,
    bond_auc,
    colours,
    isomorphic,
    orders,
    same_neighbourhoods,
)
from lab.modalities.graphs.drawing import Place, places, places_like
from lab.modalities.graphs.line_notation import names_of
from lab.modalities.line_up import Thresholds

LEAST = 1e-6
MEAN_DEGREE = 2.0
"""Bonds of a node that knowing nothing suggests."""


@dataclass(frozen=True)
class Graphs(Modality):
    """Graphs whose nodes are of a few kinds, molecules say: which atoms there are, and which are bound.

    Nodes of some sets have real-valued attributes besides, under ``attributes``, shape (batch, nodes, attributes).
    """

    dataset: ClassVar[str] = "molecules"
    network: ClassVar[str] = "gcn"
    one: ClassVar[str] = "graph"
    many: ClassVar[str] = "graphs"
    features: ClassVar[str] = (
        "One division gives the pooled vector, the sum of what all atoms hand up: it is linear in how many neighbourhoods of "
        "each kind there are, and so they are counted."
    )
    read_by: ClassVar[str] = "neighbourhood"
    main: ClassVar[str] = "atoms_mse"
    measures: ClassVar[Mapping[str, Measure]] = {
        "atoms_mse": Measure(
            atom_error, "Atoms off by", "Mean square error of atoms' kinds and attributes, best aligned.", digits=4, full=0.2
        ),
        "bonds_auc": Measure(bond_auc, "Bonds", "How well bonds are told from pairs without one: 1 is always.", nothing="0.5"),
        "isomorphic": Measure(
            isomorphic, "Same graph", "1 where the very graph was found, in any order of its nodes.", digits=0
        ),
        "same_neighbourhoods": Measure(
            same_neighbourhoods, "Same neighbourhoods", "1 where two layers cannot tell both graphs apart.", digits=0
        ),
    }
    controls: ClassVar[Mapping[str, str]] = {"mean": "the mean of other graphs", "nothing": "no atoms at all"}
    thresholds: ClassVar[Thresholds] = Thresholds(recognisable=0.95, hint=0.8)
    likeness_meaning: ClassVar[str] = "How much both graphs have the same atoms in the same surroundings: 1 is all of them."

    def start(self, seen: Observation, generator: torch.Generator, *, noise: bool) -> Inputs:
        """Every kind as likely and a few bonds anywhere; or noise around that."""
        assert isinstance(seen.input_shape, Mapping)
        like = next(iter(seen.update.values()))
        nodes, kinds = seen.input_shape["atoms"]
        atoms = torch.zeros(seen.batch_size, nodes, kinds, dtype=like.dtype)
        bonds = torch.full((seen.batch_size, nodes, nodes), min(0.5, MEAN_DEGREE / nodes), dtype=like.dtype).logit()
        if noise:
            atoms = torch.randn(atoms.shape, generator=generator, dtype=like.dtype)
            bonds = bonds + torch.randn(bonds.shape, generator=generator, dtype=like.dtype)
        begun = {"atoms": atoms.softmax(-1), "bonds": _bound(bonds)}
        if "attributes" in seen.input_shape:
            told = torch.zeros(seen.batch_size, *seen.input_shape["attributes"], dtype=like.dtype)
            begun["attributes"] = torch.randn(told.shape, generator=generator, dtype=like.dtype) if noise else told
        return moved_to(begun, like.device)

    def leaves(self, candidate: Inputs, *, broad: bool) -> Leaves:
        """The logits of kinds and of bonds; attributes as they are."""
        assert isinstance(candidate, Mapping)
        return {
            "kinds": candidate["atoms"].detach().clamp_min(LEAST).log(),
            "edges": candidate["bonds"].detach().clamp(LEAST, 1 - LEAST).logit(),
        } | {name: tensor.detach().clone() for name, tensor in _attributes(candidate).items()}

    def inputs(self, leaves: Leaves, like: Inputs) -> Inputs:
        """Kinds on the simplex, symmetric bonds and no loops."""
        return {"atoms": leaves["kinds"].softmax(-1), "bonds": _bound(leaves["edges"])} | _attributes(leaves)

    @no_grad
    def inside(self, candidate: Inputs) -> Inputs:
        """Nothing is likelier than sure, a bond has two ends, and none leads back to its atom."""
        assert isinstance(candidate, Mapping)
        bonds = candidate["bonds"].clamp(0, 1)
        kept = {"atoms": candidate["atoms"].clamp(0, 1), "bonds": _without_loops((bonds + bonds.mT) / 2)}
        return kept | _attributes(candidate)

    def pair(self, truth: Inputs, found: Inputs) -> Int[Tensor, " batch"]:
        """Pairs by neighbourhoods, whatever the order of nodes."""
        known = [colours(graph) for graph in graphs_of(found)]
        costs = [[1 - alike(colours(graph), other) for other in known] for graph in graphs_of(truth)]
        return assigned(torch.tensor(costs, dtype=torch.float32))

    def likeness(self, one: Inputs, others: Inputs) -> Float[Tensor, " others"]:
        """Cosine of the histograms of neighbourhoods."""
        own = colours(graphs_of(one)[0])
        return torch.tensor([alike(own, colours(graph)) for graph in graphs_of(others)], dtype=torch.float32)

    def ignorance(self, truth: Inputs, others: Inputs) -> Mapping[str, Inputs]:
        """The mean kind, mean attributes and as many bonds as others have, everywhere; and nothing."""
        assert isinstance(truth, Mapping)
        assert isinstance(others, Mapping)
        known = others["atoms"].sum((0, 1))
        share = others["bonds"].mean()
        mean = {
            "atoms": (known / known.sum().clamp_min(1)).expand_as(truth["atoms"]),
            "bonds": _without_loops(share.expand_as(truth["bonds"])),
        }
        for name, tensor in _attributes(others).items():
            mean[name] = (tensor.sum((0, 1)) / known.sum().clamp_min(1)).expand_as(truth[name])
        return {"mean": mean, "nothing": tree_map(torch.zeros_like, truth)}

    def alike(self, others: Inputs, inputs: Inputs) -> Inputs:
        """Decoys with as many places: filled up, or their first atoms; attributes they lack are the private nodes', turned."""
        assert isinstance(others, Mapping)
        assert isinstance(inputs, Mapping)
        nodes, had = inputs["atoms"].shape[1], others["atoms"].shape[1]
        take = min(nodes, had)

        def fitted(name: str, tensor: Tensor) -> Tensor:
            short = tensor[:, :take, :take] if name == "bonds" else tensor[:, :take]
            added = nodes - take
            return torch.nn.functional.pad(short, (0, added, 0, added) if name == "bonds" else (0, 0, 0, added))

        made = {name: fitted(name, tensor) for name, tensor in others.items()}
        for name, tensor in _attributes(inputs).items():
            turned = torch.stack([tensor[0].roll(turn, 0) for turn in range(1, len(made["atoms"]) + 1)])
            made.setdefault(name, turned * made["atoms"].sum(-1, keepdim=True))
        return moved_to(made, inputs["atoms"])

    def refuse(self, truth: Inputs) -> None:
        """Raise ``LabError`` unless kinds are one of several or none, and bonds between two atoms that are there."""
        assert isinstance(truth, Mapping)
        atoms, bonds = truth["atoms"], truth["bonds"]
        there = atoms.sum(-1)
        whole = all(bool(((tensor == 0) | (tensor == 1)).all()) for tensor in (atoms, bonds, there))
        if not whole or not torch.equal(bonds, bonds.mT) or bonds.diagonal(dim1=-2, dim2=-1).any():
            raise LabError("truth is no graph: give atoms one-hot, and bonds as a symmetric matrix of 0 and 1 without loops.")
        if (bonds.sum(-1) * (1 - there)).any():
            raise LabError("truth has a bond to an atom that is not there; give each atom its kind.")

    def shown(self, inputs: Inputs, beside: Beside | None = None) -> Shown:
        """Each atom's kinds, then its bonds, a row each; in the order and the way round of the private graphs beside them.

        Another graph with the same gradient stands behind them, under ``twins``.
        """
        beside = Beside() if beside is None else beside
        truth, other, at = beside.truth, beside.other, beside.places
        whole = inputs if beside.whole is None else beside.whole
        if truth is not None and count(inputs) > 1:
            order = self.pair(truth, whole)
            inputs, whole = rows(inputs, order), rows(whole, order)
        laid = _laid(whole, truth, at)
        if other is not None:
            laid += _laid(other, whole if truth is None else truth, at)
            inputs = concatenated(inputs, other)
        assert isinstance(inputs, Mapping)
        table = torch.cat([inputs["atoms"], inputs["bonds"]], -1).detach().cpu().float().numpy()
        kinds = names_of(inputs["atoms"].shape[-1])
        words = {
            "kinds": list(kinds),
            "places": laid,
            "twins": 0 if other is None else count(other),
            "told": [_spoken(*graph, kinds) for graph in zip(inputs["atoms"], inputs["bonds"], strict=True)],
        }
        return Shown(self.name, np.ascontiguousarray(table), words)

    def files(self, original: Inputs, rebuilt: Inputs, frames: list[Inputs]) -> Mapping[str, bytes]:
        """The atoms and bonds of each graph."""
        return {"original.json": _told(original), "reconstruction.json": _told(rebuilt)}


def _attributes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name == "attributes"}


def _bound(logits: Tensor) -> Tensor:
    return _without_loops(((logits + logits.mT) / 2).sigmoid())


def _without_loops(bonds: Tensor) -> Tensor:
    return bonds * (1 - torch.eye(bonds.shape[-1], dtype=bonds.dtype, device=bonds.device))


def _laid(graphs: Inputs, like: Inputs | None, at: Sequence[Place] | None) -> list[list[Place]]:
    """Where the nodes of each stand, laid out like those beside it, which may stand ``at`` given places."""
    assert isinstance(graphs, Mapping)
    if like is None or shape_of(like) != shape_of(graphs):
        return [places(bonds) for bonds in graphs["bonds"]]
    assert isinstance(like, Mapping)
    pairs = zip(graphs["bonds"], like["bonds"], orders(graphs, like), strict=True)
    return [places_like(own, at or places(other), order, same=same) for own, other, (order, same) in pairs]


def _spoken(atoms: Tensor, bonds: Tensor, kinds: Sequence[str]) -> str:
    """A graph in a few words: "9 C, 4 O, 13 bonds"; what is no likelier one kind than another is unknown."""
    share, kind = atoms.max(-1)
    found = Counter(
        kinds[int(own)] if likely > IS_THERE else "unknown" for own, likely in zip(kind, share, strict=True) if likely
    )
    count = int((bonds.triu(1) > IS_THERE).sum())
    return ", ".join(
        [*(f"{found[name]} {name}" for name in (*kinds, "unknown") if name in found), f"{count} bond{'s'[: count != 1]}"]
    )


def _told(inputs: Inputs) -> bytes:
    assert isinstance(inputs, Mapping)
    names = names_of(inputs["atoms"].shape[-1])
    listed: list[dict[str, object]] = []
    for graph in graphs_of(inputs):
        places = {node: place for place, node in enumerate(graph)}
        atoms = [names[kind] for kind in kinds_of(graph).values()]
        listed.append({"atoms": atoms, "bonds": [[places[one], places[other]] for one, other in graph.edges]})
    return json.dumps(listed).encode()
