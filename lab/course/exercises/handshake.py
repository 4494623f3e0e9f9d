"""Lesson 11: neighbourhoods that can be those of a graph, because every bond has two ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import torch

from lab.course.exercises.base import Case, Exercise, Judge, equals

KINDS = "CNO"
COPIES = 3
"""Of each graph, side by side, so that no neighbourhood occurs once; a single pair of C stands beside them."""
Neighbourhood = tuple[str, tuple[str, ...]]
"""What an atom is, and what it is bound to, in alphabetical order."""


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Graphs small and larger, the same with ends that do not meet (one way, the other, round), one odd end, atoms alone."""
    for atoms in (5, 9, 14):
        counts, bonds = _drawn(atoms, generator)
        yield Case((dict(counts),), _of_a_graph(counts, bonds), f"on the neighbourhoods of {atoms} atoms")
    for one, other in (("N", "O"), ("O", "S"), ("S", "O")):
        counts, bonds = _drawn(8, generator)
        counts[one, (other, other)] += 1
        hint = f"more ends lead from {one} to {other} than from {other} to {one}: {_PAIRS}"
        yield Case((dict(counts),), _of_none(bonds + 1, hint), f"where an {one} asks for two {other} that do not ask for it")
    counts, bonds = _drawn(8, generator)
    for one, other in (("C", "N"), ("N", "O"), ("O", "C")):
        counts[one, (other,)] += 2
    hint = f"of each kind as many ends ask as are asked for, but more lead from C to N than from N to C: {_PAIRS}"
    yield Case((dict(counts),), _of_none(bonds + 3, hint), "where each C asks for an N, each N for an O and each O for a C")
    counts, bonds = _drawn(8, generator)
    counts["C", ("C",)] += 1
    hint = "an odd number of ends lead from C to C, and a bond between two C has two of them."
    yield Case((dict(counts),), _of_none(bonds, hint, bonds + 1, bonds + 0.5), "where one C too many asks for a C")
    yield Case(({("O", ()): 3},), equals(0), "on atoms that nothing binds")


_PAIRS = "an even number of ends is not enough, each pair of kinds has to agree."


def _drawn(atoms: int, generator: torch.Generator) -> tuple[Counter[Neighbourhood], int]:
    """The neighbourhoods of a random graph, one atom bound to two of another kind at least, and how many bonds there are."""
    kinds = ["C", "O", "O", *(KINDS[int(k)] for k in torch.randint(3, (atoms - 3,), generator=generator))]
    likely = torch.rand(atoms, atoms, generator=generator, dtype=torch.float32) < 2.5 / atoms
    bound = {(one, other) for one in range(atoms) for other in range(one) if likely[one, other]} | {(1, 0), (2, 0)}
    around: list[list[str]] = [[] for _ in kinds]
    for one, other in bound:
        around[one].append(kinds[other])
        around[other].append(kinds[one])
    counts = Counter((kind, tuple(sorted(friends))) for kind, friends in zip(kinds, around, strict=True))
    copies = Counter({neighbourhood: COPIES * count for neighbourhood, count in counts.items()})
    return copies + Counter({("C", ("C",)): 2}), COPIES * len(bound) + 1


def _of_a_graph(counts: Counter[Neighbourhood], bonds: int) -> Judge:
    return equals(
        bonds,
        (2 * bonds, "these are ends of bonds; every bond has two."),
        (sum(len(around) for _, around in counts), _EACH),
        (sum(len(around) for _, around in counts) // 2, _EACH),
        (sum(counts.values()), "these are the atoms; count what they are bound to."),
        tolerance=0.0,
    )


_EACH = "a neighbourhood counts as often as there are atoms that have it: weigh it by its number."


def _of_none(bonds: float, hint: str, *others: float) -> Judge:
    return equals(None, *((wrong, hint) for wrong in (bonds, *others)))


EXERCISE = Exercise(
    lesson=11,
    task="handshake(counts): the number of bonds; None where a bond would have one end, for {(kind, neighbours): atoms}",
    praise="No graph needed to be built: counts that do not shake hands are no molecule's, and are crossed off the list.",
    cases=cases,
)
