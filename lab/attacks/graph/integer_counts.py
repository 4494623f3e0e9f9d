"""How many nodes have each neighbourhood: whole numbers that solve linear equations and are those of a graph."""

from __future__ import annotations

import warnings
from collections import defaultdict, deque
from collections.abc import Iterator
from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp, nnls

from lab.attacks.graph.budget import Budget
from lab.attacks.graph.neighbourhood_types import Types

Numbers = np.ndarray[Any, np.dtype[np.float64]]
SOLVER_SECONDS = 5.0
MAX_EQUATIONS = 60
"""Mixtures of the equations that whole numbers are sought by: a program of whole numbers grows with each."""
MAX_SOLUTIONS = 2_000
"""That are looked at."""


def edge_balance(types: Types) -> Numbers:
    """Rows that are 0 for counts of a graph: as many bonds lead from one kind of node to another as back."""
    rows: defaultdict[tuple[int, int], Numbers] = defaultdict(lambda: np.zeros(len(types)))
    for number, (centre, around) in enumerate(zip(types.centre, types.around, strict=True)):
        for other in around:
            if other != centre:
                rows[min(centre, other), max(centre, other)][number] += 1 if centre < other else -1
    return np.array(list(rows.values())) if rows else np.zeros((0, len(types)))


def integer_counts(
    left: Numbers, right: Numbers, types: Types, nodes: int, near: float, programmes: Budget
) -> Iterator[list[int]]:
    """Counts c >= 0 with ``left`` c = ``right``, so many nodes and edges balanced: one, then those that swaps make of it.

    Two nodes of one kind that exchange neighbours change no sum of what is gathered, and hardly the others.
    ``near`` is what may be left unexplained, as a share. Raises ``TooManyError`` where no more ``programmes`` are allowed.
    """
    scale = np.linalg.norm(right) or 1.0
    left, right = left / scale, right / scale
    even = np.vstack([edge_balance(types), np.ones(len(types))])
    wanted = np.append(np.zeros(len(even) - 1), nodes)

    def serves(counts: Any) -> bool:
        return np.array_equal(even @ counts, wanted) and bool(np.linalg.norm(left @ counts - right) < near)

    try:
        counts, least = nnls(np.vstack([left, even]), np.append(right, wanted), maxiter=10 * max(len(types), 30))
    except RuntimeError:
        counts, least = np.zeros(len(types)), 0.0
    found = np.round(counts)
    if not serves(found):
        if least >= near:
            return
        programmes.spend(1)
        found = _integer_programme(left, right, even, wanted, nodes)
    if found is None or not serves(found):
        return
    first = tuple(int(count) for count in found)
    seen, waiting = {first}, deque([first])
    while waiting:
        counts = waiting.popleft()
        yield list(counts)
        for other in _swapped(counts, types):
            if other not in seen and len(seen) < MAX_SOLUTIONS:
                seen.add(other)
                if serves(np.array(other)):
                    waiting.append(other)


def _swapped(counts: tuple[int, ...], types: Types) -> Iterator[tuple[int, ...]]:
    """Counts after two nodes of one kind have exchanged a neighbour each."""
    numbers = {described: number for number, described in enumerate(zip(types.centre, types.around, strict=True))}
    there = [number for number, count in enumerate(counts) if count]
    for one, other in combinations_with_replacement(there, 2):
        centre = types.centre[one]
        if centre != types.centre[other] or (one == other and counts[one] < 2):
            continue
        for given, taken in product(sorted(set(types.around[one])), sorted(set(types.around[other]))):
            made = (
                numbers.get((centre, _exchanged(types.around[one], given, taken))),
                numbers.get((centre, _exchanged(types.around[other], taken, given))),
            )
            if given != taken and made[0] is not None and made[1] is not None:
                changed = list(counts)
                for number, step in ((one, -1), (other, -1), (made[0], 1), (made[1], 1)):
                    changed[number] += step
                yield tuple(changed)


def _exchanged(around: tuple[int, ...], given: int, taken: int) -> tuple[int, ...]:
    left = list(around)
    left[left.index(given)] = taken
    return tuple(sorted(left))


def _integer_programme(left: Any, right: Any, even: Any, wanted: Any, nodes: int) -> Any:
    """Whole numbers that leave the least of mixtures of the equations unexplained."""
    mixing = np.random.default_rng(0).standard_normal((MAX_EQUATIONS, len(left))) / np.sqrt(MAX_EQUATIONS)
    left, right = (mixing @ left, mixing @ right) if len(left) > MAX_EQUATIONS else (left, right)
    types, equations = left.shape[1], len(left)
    one = np.eye(equations)
    matrix = np.block([[left, -one, one], [even, np.zeros((len(even), 2 * equations))]])
    both: Any = np.append(right, wanted)
    cost = np.append(np.zeros(types), np.ones(2 * equations))
    upper: Any = np.append(np.full(types, nodes), np.full(2 * equations, np.inf))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = milp(
            cost,
            constraints=LinearConstraint(matrix, both, both),
            bounds=Bounds(0, upper),
            integrality=np.append(np.ones(types), np.zeros(2 * equations)),
            options={"time_limit": SOLVER_SECONDS},
        )
    return None if found.x is None else np.round(found.x[:types])
