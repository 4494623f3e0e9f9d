"""Graphs with given neighbourhoods: which open ends are bound to which."""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from itertools import accumulate

Bonds = list[tuple[int, int]]
ATTEMPTS = 24
RING_COSTS = {6: 0, 5: 1}
"""What a bond costs that closes a ring of so many atoms; an open one 2, a smaller one more: chemistry's preference."""


def assemble(centre: Sequence[int], around: Sequence[Sequence[int]], seed: int = 0) -> list[Bonds]:
    """Different ways to bind nodes so that each has the neighbours it asks for, those that chemistry prefers first.

    ``centre`` says what each node is to its neighbours, ``around`` what each of its own has to be. At most ``ATTEMPTS`` ways,
    the bonds of each in the order in which they were made.
    """
    found: dict[frozenset[tuple[int, int]], tuple[float, int, Bonds]] = {}
    for attempt in range(ATTEMPTS):
        bonds = _Assembly(centre, around, random.Random(seed + attempt), wild=attempt % 3 == 2).bonds()
        if bonds is not None:
            found.setdefault(frozenset(bonds), (cost(len(centre), bonds), attempt, bonds))
    return [bonds for _, _, bonds in sorted(found.values())]


def is_realisable(centre: Sequence[int], around: Sequence[Sequence[int]]) -> bool:
    """Whether any graph has these neighbourhoods: each two kinds of nodes by themselves can be bound as they ask.

    Of two kinds by the theorem of Gale and Ryser, of one kind by that of Erdős and Gallai.
    """
    import networkx as nx

    asked: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for own, wanted in zip(centre, around, strict=True):
        for kind, count in Counter(wanted).items():
            asked[own, kind].append(count)
    for (own, kind), ends in asked.items():
        others = asked.get((kind, own), [])
        if own == kind:
            served = nx.is_graphical(ends)
        else:
            reach = [sum(min(end, many) for end in others) for many in range(1, len(ends) + 1)]
            most = accumulate(sorted(ends, reverse=True))
            served = sum(ends) == sum(others) and all(one <= other for one, other in zip(most, reach, strict=True))
        if not served:
            return False
    return True


def cost(nodes: int, bonds: Bonds) -> float:
    """How unusual a molecule is: pieces beyond the first, and rings of other than six or five atoms."""
    friends: list[set[int]] = [set() for _ in range(nodes)]
    for one, other in bonds:
        friends[one].add(other)
        friends[other].add(one)
    pieces, unseen = 0, set(range(nodes))
    while unseen:
        unseen -= set(_distances(friends, next(iter(unseen))))
        pieces += 1
    rings = 0.0
    for one, other in bonds:
        friends[one].remove(other)
        friends[other].remove(one)
        around = _distances(friends, one).get(other)
        rings += 0 if around is None else {5: 0.0, 4: 0.3}.get(around, 1.0 + 0.1 * abs(around - 5))
        friends[one].add(other)
        friends[other].add(one)
    return 10.0 * (pieces - 1) + rings


def _distances(friends: Sequence[set[int]], start: int) -> dict[int, int]:
    found, queue = {start: 0}, deque([start])
    while queue:
        node = queue.popleft()
        for other in friends[node]:
            if other not in found:
                found[other] = found[node] + 1
                queue.append(other)
    return found


class _Assembly:
    """One attempt: the open end with the fewest partners first, among those of nodes that are already bound.

    Whether two kinds of nodes are bound rightly does not hang on how other kinds are, so nothing is ever taken back but one
    bond: where the last open ends may not be bound to each other, a bond between two nodes of their kinds is opened for them.
    """

    def __init__(self, centre: Sequence[int], around: Sequence[Sequence[int]], dice: random.Random, *, wild: bool) -> None:
        self.centre, self.dice, self.wild = centre, dice, wild
        self.open = [Counter(wanted) for wanted in around]
        self.asked = [tuple(sorted(wanted)) for wanted in around]
        self.friends: list[set[int]] = [set() for _ in centre]
        self.made: Bonds = []
        self.of_kind: defaultdict[int, list[int]] = defaultdict(list)
        for node, kind in enumerate(centre):
            self.of_kind[kind].append(node)

    def bonds(self) -> Bonds | None:
        """All bonds, or None where this attempt found no way."""
        while (chosen := self._most_constrained()) is not None:
            node, kind, partners = chosen
            if partners:
                self._turn(node, self._preferred(node, partners), bound=True)
            elif not self._made_way(node, kind):
                return None
        return self.made

    def _most_constrained(self) -> tuple[int, int, list[int]] | None:
        """The node whose open end has fewest partners, those begun first; what the partner has to be, and who could."""
        best: tuple[tuple[bool, int, float], int, int, list[int]] | None = None
        for node, wanted in enumerate(self.open):
            for kind, count in wanted.items():
                if not count:
                    continue
                partners = self._partners(node, kind)
                fresh = len({(other,) if self.friends[other] else self.asked[other] for other in partners})
                key = (len(partners) >= count and not self.friends[node], fresh, self.dice.random())
                if best is None or key < best[0]:
                    best = key, node, kind, partners
        return None if best is None else best[1:]

    def _partners(self, node: int, kind: int) -> list[int]:
        own, friends = self.centre[node], self.friends[node]
        return [o for o in self.of_kind[kind] if self.open[o][own] and o != node and o not in friends]

    def _preferred(self, node: int, partners: list[int]) -> int:
        away = _distances(self.friends, node)

        def preference(other: int) -> tuple[int, float]:
            ring = away.get(other, -2) + 1
            rank = 2 if ring < 0 else RING_COSTS.get(ring, 3 + (ring < 5))
            return (0 if self.wild else rank), self.dice.random()

        return min(partners, key=preference)

    def _made_way(self, node: int, kind: int) -> bool:
        """Bind two open ends, of this node and of one of that kind, to both ends of a bond that is opened for them."""
        own = self.centre[node]
        ends = [other for other in self.of_kind[kind] if self.open[other][own] > (other == node)]
        ways = [
            (end, near, far)
            for end in ends
            for far in self.of_kind[kind]
            if far != node and far not in self.friends[node]
            for near in self.friends[far]
            if self.centre[near] == own and near not in (node, end) and near not in self.friends[end]
        ]
        if not ways:
            return False
        end, near, far = self.dice.choice(ways)
        self._turn(near, far, bound=False)
        self._turn(node, far, bound=True)
        self._turn(near, end, bound=True)
        return True

    def _turn(self, one: int, other: int, *, bound: bool) -> None:
        change = -1 if bound else 1
        self.open[one][self.centre[other]] += change
        self.open[other][self.centre[one]] += change
        (self.friends[one].add if bound else self.friends[one].remove)(other)
        (self.friends[other].add if bound else self.friends[other].remove)(one)
        (self.made.append if bound else self.made.remove)((min(one, other), max(one, other)))
