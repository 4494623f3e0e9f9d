"""Neighbourhoods that a node can have, a hop further each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, islice, product
from math import comb, prod

import torch
from torch import Tensor

from lab.attacks.graph.bounds import MAX_KEPT_TYPES, MAX_TYPES, TYPES_AT_ONCE
from lab.attacks.graph.budget import Budget, TooManyError
from lab.federated.graph_layers import GraphBody

Neighbourhood = tuple[int, tuple[int, ...]]
"""What a node is, and what its neighbours are."""


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

    def kept(self, which: Tensor) -> Types:
        """Some of them, where ``which`` is true."""
        rows = which.nonzero().flatten()
        chosen = rows.tolist()
        centre, around, root = ([told[row] for row in chosen] for told in (self.centre, self.around, self.root))
        return Types(centre, around, self.values[rows], self.gathered[rows], root)


Fits = Callable[[Types], Tensor]
"""Which types a layer's gradient allows."""


def zero_hop_types(body: GraphBody, kinds: Sequence[int], degrees: Sequence[int], like: Tensor) -> Types:
    """Depth 0: a kind, and how many bonds, few first."""
    pairs = [(kind, degree) for degree, kind in product(degrees, kinds)]
    atoms = torch.eye(body.kinds, dtype=like.dtype)[[kind for kind, _ in pairs]]
    values = body.described(atoms, torch.tensor([degree for _, degree in pairs], dtype=like.dtype))
    around: list[tuple[int, ...]] = [(0,) * degree for _, degree in pairs]
    return Types([kind for kind, _ in pairs], around, values, values, list(range(len(pairs))))


def next_hop_types(body: GraphBody, hop: int, types: Types, fits: Fits, budget: Budget) -> Types:
    """One hop further: every way in which the neighbours can be types that agree with what the node says of them.

    Of those the ones that fit. Raises ``TooManyError``.
    """
    degrees = torch.tensor([len(around) for around in types.around], dtype=torch.long)
    found: list[Types] = []
    looked_at = kept = 0
    for batch in _batches(_first_hop(types, found) if hop == 0 else _next_hop(types)):
        budget.spend(len(batch))
        roots = [types.root[centre] if hop else number for number, (centre, _) in enumerate(batch, looked_at)]
        looked_at += len(batch)
        listed = _entered(body, hop, types.values, degrees, batch, roots)
        found.append(listed.kept(fits(listed)))
        kept += len(found[-1])
        if kept > MAX_KEPT_TYPES:
            raise TooManyError
    if not found:
        return types.kept(torch.zeros(len(types), dtype=torch.bool))
    return Types(
        [centre for part in found for centre in part.centre],
        [around for part in found for around in part.around],
        torch.cat([part.values for part in found]),
        torch.cat([part.gathered for part in found]),
        [root for part in found for root in part.root],
    )


def _batches(groups: Iterable[Iterable[Neighbourhood]]) -> Iterator[list[Neighbourhood]]:
    """Neighbourhoods of one group at a time, and not too many at once. Raises ``TooManyError``."""
    count = 0
    for group in groups:
        left = iter(group)
        while batch := list(islice(left, TYPES_AT_ONCE)):
            count += len(batch)
            if count > MAX_TYPES:
                raise TooManyError
            yield batch


def _entered(body: GraphBody, hop: int, values: Tensor, degrees: Tensor, batch: list[Neighbourhood], roots: list[int]) -> Types:
    """What the layer is given at nodes of so many bonds, and what it makes of it."""
    centre = torch.tensor([centre for centre, _ in batch], dtype=torch.long)
    around = torch.tensor([around for _, around in batch], dtype=torch.long)
    gathered = body.aggregation.aggregate_node(values[centre], values[around], around.shape[1], degrees[around])
    with torch.no_grad():
        passed = body.activation(body.layers[hop](gathered))
    return Types([centre for centre, _ in batch], [around for _, around in batch], passed, gathered, roots)


def _first_hop(types: Types, found: Sequence[Types]) -> Iterator[Iterator[Neighbourhood]]:
    """Nodes of few bonds first: of those with more bonds then only what is seen by its neighbours is asked for."""
    bound = [number for number, around in enumerate(types.around) if around]
    for centre, around in enumerate(types.around):
        degree = len(around)
        seeing = {
            neighbour for part in found for neighbour, seen in zip(part.centre, part.around, strict=True) if centre in seen
        }
        could = [other for other in bound if len(types.around[other]) >= degree or other in seeing]
        if comb(len(could) + degree - 1, degree) > MAX_TYPES:
            raise TooManyError
        yield ((centre, chosen) for chosen in combinations_with_replacement(could, degree))


def _next_hop(types: Types) -> Iterator[Iterator[Neighbourhood]]:
    """Neighbours that see this node as it is; nodes of equally many bonds together."""
    seen_by: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for number, (centre, around) in enumerate(zip(types.centre, types.around, strict=True)):
        for other in set(around):
            seen_by[centre, other].append(number)
    by_degree: defaultdict[int, list[int]] = defaultdict(list)
    count = 0
    for number, (centre, around) in enumerate(zip(types.centre, types.around, strict=True)):
        by_degree[len(around)].append(number)
        count += prod(comb(len(seen_by[other, centre]) + many - 1, many) for other, many in Counter(around).items())
        if count > MAX_TYPES:
            raise TooManyError

    def ways(number: int) -> Iterator[Neighbourhood]:
        centre, wanted = types.centre[number], Counter(types.around[number])
        each = [combinations_with_replacement(seen_by[other, centre], many) for other, many in wanted.items()]
        for chosen in product(*each):
            yield number, tuple(sorted(neighbour for part in chosen for neighbour in part))

    for numbers in by_degree.values():
        yield (way for number in numbers for way in ways(number))


def consistent(types: Types) -> Types:
    """Those whose every neighbour can be one of those."""
    while True:
        pairs = {(centre, other) for centre, around in zip(types.centre, types.around, strict=True) for other in around}
        kept = [
            all((other, centre) in pairs for other in around) for centre, around in zip(types.centre, types.around, strict=True)
        ]
        if all(kept):
            return types
        types = types.kept(torch.tensor(kept, dtype=torch.bool))
