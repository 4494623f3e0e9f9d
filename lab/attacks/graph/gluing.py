"""Graphs with given neighbourhoods: which open ends are bound to which."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Sequence

Bonds = list[tuple[int, int]]
TRIES, STEPS = 24, 3_000
USUAL_RINGS = {6: 0, 5: 1}
"""What a bond costs that closes a ring of so many atoms; an open one 2, a smaller one more: chemistry's preference."""


def glued(centre: Sequence[int], around: Sequence[Sequence[int]], seed: int = 0) -> list[Bonds]:
    """Different ways to bind nodes so that each has the neighbours it asks for, those that chemistry prefers first.

    ``centre`` says what each node is to its neighbours, ``around`` what each of its own has to be. At most ``TRIES`` ways,
    the bonds of each in the order in which they were made.
    """
    found: dict[frozenset[tuple[int, int]], tuple[float, int, Bonds]] = {}
    for attempt in range(TRIES):
        bonds = _Gluing(centre, around, random.Random(seed + attempt), wild=attempt % 3 == 2).bonds()
        if bonds is not None:
            found.setdefault(frozenset(bonds), (cost(len(centre), bonds), attempt, bonds))
    return [bonds for _, _, bonds in sorted(found.values())]


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


class _Gluing:
    """One attempt: backtracking over open ends, the node with the fewest partners first among those already bound."""

    def __init__(self, centre: Sequence[int], around: Sequence[Sequence[int]], dice: random.Random, *, wild: bool) -> None:
        self.centre, self.dice, self.wild = centre, dice, wild
        self.open = [Counter(wanted) for wanted in around]
        self.friends: list[set[int]] = [set() for _ in centre]
        self.made: Bonds = []
        self.steps = 0

    def bonds(self) -> Bonds | None:
        """All bonds, or None where this attempt found no way."""
        return [(min(bond), max(bond)) for bond in self.made] if self._bind() else None

    def _bind(self) -> bool:
        self.steps += 1
        if self.steps > STEPS:
            return False
        chosen = self._most_constrained()
        if chosen is None:
            return True
        node, partners = chosen
        for other in partners:
            self._turn(node, other, bound=True)
            if self._bind():
                return True
            self._turn(node, other, bound=False)
            if self.steps > STEPS:
                return False
        return False

    def _most_constrained(self) -> tuple[int, list[int]] | None:
        """The node whose open end has fewest partners, those begun first; its partners, the preferred first."""
        best: tuple[tuple[bool, int, float], int, list[int]] | None = None
        for node, wanted in enumerate(self.open):
            for kind, count in wanted.items():
                if not count:
                    continue
                partners = [
                    other
                    for other, own in enumerate(self.centre)
                    if own == kind and other != node and self.open[other][self.centre[node]] and other not in self.friends[node]
                ]
                fresh = len(
                    {id(other) if self.friends[other] else tuple(sorted(self.open[other].items())) for other in partners}
                )
                key = (len(partners) >= count and not self.friends[node], fresh, self.dice.random())
                if best is None or key < best[0]:
                    best = key, node, partners
        if best is None:
            return None
        return best[1], self._ordered(best[1], best[2])

    def _ordered(self, node: int, partners: list[int]) -> list[int]:
        away = _distances(self.friends, node)

        def preference(other: int) -> tuple[int, float]:
            ring = away.get(other, -2) + 1
            rank = 2 if ring < 0 else USUAL_RINGS.get(ring, 3 + (ring < 5))
            return (0 if self.wild else rank), self.dice.random()

        return sorted(partners, key=preference)

    def _turn(self, one: int, other: int, *, bound: bool) -> None:
        change = -1 if bound else 1
        self.open[one][self.centre[other]] += change
        self.open[other][self.centre[one]] += change
        (self.friends[one].add if bound else self.friends[one].remove)(other)
        (self.friends[other].add if bound else self.friends[other].remove)(one)
        if bound:
            self.made.append((one, other))
        else:
            self.made.pop()
