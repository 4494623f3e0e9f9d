"""Molecules as chemists type them: a line of atoms, with branches in brackets and rings closed by digits (Weininger 1988)."""

from __future__ import annotations

import re

from lab.errors import LabError, quoted
from lab.modalities.graphs.building import Graph

ATOMS = ("C", "N", "O", "S", "F", "Cl", "Br")
_TOKEN = re.compile(r"Cl|Br|[CNOSFcnos]|[()=#]|\d")
MOST_LETTERS = 400


def names_of(kinds: int) -> tuple[str, ...]:
    """What so many kinds of nodes are called: atoms, where they are those of this notation, else their numbers."""
    return ATOMS if kinds == len(ATOMS) else tuple(str(kind) for kind in range(kinds))


def parse(line: str) -> Graph:
    """Kinds of the atoms, by their numbers in ``ATOMS``, and bonds; hydrogen and orders of bonds are left out.

    Raises ``LabError`` for what is no such line.
    """
    tokens = _TOKEN.findall(line) if len(line) <= MOST_LETTERS else []
    if not tokens or "".join(tokens) != line:
        raise LabError(
            f"{quoted(line)} is no line of atoms; use {', '.join(ATOMS)}, brackets, = and # and digits, as in CC(=O)O."
        )
    kinds: list[int] = []
    bonds: list[tuple[int, int]] = []
    branches: list[int | None] = []
    rings: dict[str, int] = {}
    last: int | None = None
    for token in tokens:
        if token == "(":
            branches.append(last)
        elif token == ")":
            last = branches.pop() if branches else _refuse(line)
        elif token.isdigit():
            here = last if last is not None else _refuse(line)
            if token in rings:
                bonds.append((rings.pop(token), here))
            else:
                rings[token] = here
        elif token not in "=#":
            kinds.append(ATOMS.index(token.capitalize()))
            if last is not None:
                bonds.append((last, len(kinds) - 1))
            last = len(kinds) - 1
    if rings or branches or any(one == other for one, other in bonds) or len(set(bonds)) < len(bonds):
        _refuse(line)
    return kinds, bonds


def _refuse(line: str) -> int:
    raise LabError(f"A bracket or a ring of {quoted(line)} is left open, or a bond leads nowhere; close each, as in c1ccccc1.")
