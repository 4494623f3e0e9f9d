"""How many nodes have each neighbourhood: linear equations in whole numbers."""

from __future__ import annotations

import warnings
from collections import defaultdict
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp, nnls

from lab.attacks.graph.neighbourhood_types import Types

Numbers = np.ndarray[Any, np.dtype[np.float64]]
SECONDS = 5.0
EQUATIONS = 60
"""Mixtures of the equations that whole numbers are sought by: a program of whole numbers grows with each."""


def handshakes(types: Types) -> Numbers:
    """Rows that are 0 for counts of a graph: as many bonds lead from one kind of node to another as back."""
    rows: defaultdict[tuple[int, int], Numbers] = defaultdict(lambda: np.zeros(len(types)))
    for number, (centre, around) in enumerate(zip(types.centre, types.around, strict=True)):
        for other in around:
            if other != centre:
                rows[min(centre, other), max(centre, other)][number] += 1 if centre < other else -1
    return np.array(list(rows.values())) if rows else np.zeros((0, len(types)))


def whole_counts(
    left: Numbers,
    right: Numbers,
    types: Types,
    nodes: int,
    near: float,
) -> list[int] | None:
    """Counts c >= 0 with ``left`` c = ``right``, so many nodes and every handshake met; None where none fit.

    ``near`` is what may be left unexplained, as a share.
    """
    scale = np.linalg.norm(right) or 1.0
    left, right = left / scale, right / scale
    even = np.vstack([handshakes(types), np.ones(len(types))])
    wanted = np.append(np.zeros(len(even) - 1), nodes)
    try:
        counts, _ = nnls(np.vstack([left, even]), np.append(right, wanted), maxiter=10 * max(len(types), 30))
    except RuntimeError:
        counts = np.zeros(len(types))
    for found in (np.round(counts), None):
        sought = _programme(left, right, even, wanted, nodes) if found is None else found
        if sought is not None and np.array_equal(even @ sought, wanted) and np.linalg.norm(left @ sought - right) < near:
            return [int(count) for count in sought]
    return None


def _programme(left: Any, right: Any, even: Any, wanted: Any, nodes: int) -> Any:
    """Whole numbers that leave the least of mixtures of the equations unexplained."""
    mixing = np.random.default_rng(0).standard_normal((EQUATIONS, len(left))) / np.sqrt(EQUATIONS)
    left, right = (mixing @ left, mixing @ right) if len(left) > EQUATIONS else (left, right)
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
            options={"time_limit": SECONDS},
        )
    return None if found.x is None else np.round(found.x[:types])
