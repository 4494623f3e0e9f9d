"""Neighbourhoods that a node can have, hop by hop, of which those stay that a layer's gradient allows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from math import comb, prod

import torch
from torch import Tensor

from lab.attacks.graph.bounds import MOST_TYPES
from lab.federated.graph_layers import GraphBody

ENOUGH = 4_000
"""Of the deepest, each of which is weighed against all others."""


class TooManyError(Exception):
    """More neighbourhoods fit than can be told apart."""


@dataclass(frozen=True, eq=False)
class Types:
    """Neighbourhoods of one depth, a row each."""

    centre: list[int]
    """What the node itself is, a type one hop less deep; of the shallowest its kind."""
    around: list[tuple[int, ...]]
    """What its neighbours are, types one hop less deep, in ascending order; of the shallowest as many as it has, all 0."""
    values: Tensor
    """What a node of this type passes on, shape (types, width)."""
    gathered: Tensor
    """What its layer was given, shape (types, gathered width)."""
    root: list[int]
    """Of which neighbourhood of one hop it grew, by its number among all that were listed."""

    def __len__(self) -> int:
        return len(self.centre)

    def kept(self, which: Sequence[int]) -> Types:
        """Some of them."""
        rows = torch.tensor(which, dtype=torch.long)
        centre, around = [self.centre[row] for row in which], [self.around[row] for row in which]
        return Types(centre, around, self.values[rows], self.gathered[rows], [self.root[row] for row in which])


def bare(body: GraphBody, kinds: Sequence[int], degrees: Sequence[int], like: Tensor) -> Types:
    """Depth 0: a kind, and how many bonds."""
    pairs = list(product(kinds, degrees))
    atoms = torch.eye(body.kinds, dtype=like.dtype)[[kind for kind, _ in pairs]]
    values = body.described(atoms, torch.tensor([degree for _, degree in pairs], dtype=like.dtype))
    around: list[tuple[int, ...]] = [(0,) * degree for _, degree in pairs]
    return Types([kind for kind, _ in pairs], around, values, values, list(range(len(pairs))))


def deeper(body: GraphBody, hop: int, types: Types) -> Types:
    """One hop further: every way in which the neighbours can be types that agree with what the node says of them.

    Raises ``TooManyError``.
    """
    listed = _first_hop(types) if hop == 0 else _next_hop(types)
    by_degree: defaultdict[int, list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
    for centre, around in listed:
        by_degree[len(around)].append((centre, around))
    degrees = torch.tensor([len(around) for around in types.around], dtype=torch.long)
    rows = [row for found in by_degree.values() for row in found]
    gathered = [_gathered(body, types.values, degrees, found) for found in by_degree.values()]
    if not rows:
        return types.kept([])
    entering = torch.cat(gathered)
    with torch.no_grad():
        values = body.bend(body.layers[hop](entering))
    root = [types.root[centre] if hop else number for number, (centre, _) in enumerate(rows)]
    return Types([centre for centre, _ in rows], [around for _, around in rows], values, entering, root)


def _gathered(body: GraphBody, values: Tensor, degrees: Tensor, found: list[tuple[int, tuple[int, ...]]]) -> Tensor:
    centre = torch.tensor([centre for centre, _ in found], dtype=torch.long)
    around = torch.tensor([around for _, around in found], dtype=torch.long)
    return body.gathering.one(values[centre], values[around], around.shape[1], degrees[around])


def _first_hop(types: Types) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Any neighbours that have bonds at all."""
    bound = [number for number, around in enumerate(types.around) if around]
    count = sum(comb(len(bound) + len(around) - 1, len(around)) for around in types.around)
    if count > MOST_TYPES:
        raise TooManyError
    for centre, around in enumerate(types.around):
        yield from ((centre, chosen) for chosen in combinations_with_replacement(bound, len(around)))


def _next_hop(types: Types) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Neighbours that see this node as it is."""
    seen_by: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for number, (centre, around) in enumerate(zip(types.centre, types.around, strict=True)):
        for other in set(around):
            seen_by[centre, other].append(number)
    count = 0
    for number, (centre, around) in enumerate(zip(types.centre, types.around, strict=True)):
        wanted = Counter(around)
        choices = {other: seen_by[other, centre] for other in wanted}
        count += prod(comb(len(found) + wanted[other] - 1, wanted[other]) for other, found in choices.items())
        if count > MOST_TYPES:
            raise TooManyError
        each = [combinations_with_replacement(found, wanted[other]) for other, found in choices.items()]
        for chosen in product(*each):
            yield number, tuple(sorted(neighbour for part in chosen for neighbour in part))


def consistent(types: Types) -> Types:
    """Those whose every neighbour can be one of those."""
    while True:
        pairs = {(centre, other) for centre, around in zip(types.centre, types.around, strict=True) for other in around}
        kept = [
            number
            for number, (centre, around) in enumerate(zip(types.centre, types.around, strict=True))
            if all((other, centre) in pairs for other in around)
        ]
        if len(kept) == len(types):
            return types
        types = types.kept(kept)


def outside(vectors: Tensor, span: Tensor) -> Tensor:
    """What share of each vector lies outside the span of orthonormal rows; 0 of a vector of zeros."""
    lengths = vectors.norm(dim=1).clamp_min(1e-300)
    return (vectors - (vectors @ span.T) @ span).norm(dim=1) / lengths


def rows_of(gradient: Tensor, tolerance: float) -> Tensor:
    """Orthonormal rows that span what entered a layer, up to ``tolerance`` of the largest."""
    _, sizes, rows = torch.linalg.svd(gradient, full_matrices=False)
    return rows[sizes > tolerance * sizes[0]]
