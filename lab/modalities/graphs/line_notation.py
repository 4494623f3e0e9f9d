"""Molecules as chemists type them: a line of atoms, branches in brackets, rings closed by numbers (Weininger 1988)."""

from __future__ import annotations

import re

from lab.errors import LabError, quoted
from lab.modalities.graphs.building import Graph

ATOMS = ("C", "N", "O", "S", "F", "Cl", "Br")
_TOKEN = re.compile(r"Cl|Br|[CNOSFcnos]|[()=#.]|\d|%\d\d")
MAX_LETTERS = 400


def names_of(kinds: int) -> tuple[str, ...]:
    """What so many kinds of nodes are called: atoms, where they are those of this notation, else their numbers."""
    return ATOMS if kinds == len(ATOMS) else tuple(str(kind) for kind in range(kinds))


def parse(line: str) -> Graph:
    """Kinds of the atoms, by their numbers in ``ATOMS``, and bonds; hydrogen and orders of bonds are left out.

    Raises ``LabError`` for what is no such line.
    """
    tokens = _TOKEN.findall(line) if len(line) <= MAX_LETTERS else []
    if not tokens or "".join(tokens) != line:
        raise LabError(
            f"{quoted(line)} is no line of atoms; use {', '.join(ATOMS)}, brackets, = and # and digits, as in CC(=O)O, and "
            "a dot between pieces."
        )
    kinds: list[int] = []
    bonds: list[tuple[int, int]] = []
    branches: list[int | None] = []
    rings: dict[int, int] = {}
    last: int | None = None
    for token in tokens:
        if token == "(":
            branches.append(last)
        elif token == ")":
            last = branches.pop() if branches else _refuse(line)
        elif token == ".":
            last = None
        elif token[-1].isdigit():
            here = last if last is not None else _refuse(line)
            ring = int(token.lstrip("%"))
            if ring in rings:
                bonds.append((rings.pop(ring), here))
            else:
                rings[ring] = here
        elif token not in "=#":
            kinds.append(ATOMS.index(token.capitalize()))
            if last is not None:
                bonds.append((last, len(kinds) - 1))
            last = len(kinds) - 1
    if not kinds or rings or branches or any(one == other for one, other in bonds) or len(set(bonds)) < len(bonds):
        _refuse(line)
    return kinds, bonds


def to_line(graph: Graph) -> str:
    """The inverse of ``parse``: a line for a graph, whose atoms it may bring into another order; at most 99 rings."""
    kinds, bonds = graph
    around: list[list[int]] = [[] for _ in kinds]
    for one, other in bonds:
        around[one].append(other)
        around[other].append(one)
    follows: dict[int, list[int]] = {}
    numbers: list[list[str]] = [[] for _ in kinds]
    closed = 0

    def visit(node: int, came: int) -> None:
        nonlocal closed
        follows[node] = []
        for other in around[node]:
            if other not in follows:
                follows[node].append(other)
                visit(other, node)
            elif other != came and not (set(numbers[node]) & set(numbers[other])):
                closed += 1
                number = str(closed) if closed < 10 else f"%{closed}"
                numbers[node].append(number)
                numbers[other].append(number)

    def spelt(node: int) -> str:
        *branches, last = [spelt(other) for other in follows[node]] or [""]
        return f"{ATOMS[kinds[node]]}{''.join(numbers[node])}{''.join(f'({branch})' for branch in branches)}{last}"

    pieces: list[str] = []
    for node in range(len(kinds)):
        if node not in follows:
            visit(node, -1)
            pieces.append(spelt(node))
    return ".".join(pieces)


def _refuse(line: str) -> int:
    raise LabError(f"A bracket or a ring of {quoted(line)} is left open, or a bond leads nowhere; close each, as in c1ccccc1.")
