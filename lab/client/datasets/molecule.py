"""A molecule of one's own that fits into a link: its line is its name, so it can be sent as a secret."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from lab.lazy import torch

from lab.client.batch import Batch
from lab.client.datasets.base import Dataset
from lab.client.datasets.molecules import RINGS, has_ring
from lab.errors import LabError
from lab.federated.tensors import Inputs, Shape
from lab.modalities.graphs.building import Graph, batch_of
from lab.modalities.graphs.line_notation import ATOMS, MAX_LETTERS, parse, to_line
from lab.options.fields import AtMost, Help, Name

MAX_ATOMS, MAX_BONDS = 24, 4
"""Of a molecule, and of an atom: what the server tries in seconds."""
ALCOHOL = "CCO"


@dataclass(frozen=True)
class Molecule(Dataset):
    """One molecule as chemists type it, or as it is drawn on the page, kept inside the experiment; without hydrogen."""

    modality: ClassVar[str] = "graphs"
    is_shipped: ClassVar[bool] = True
    line: Annotated[str, AtMost(letters=MAX_LETTERS), Name(), Help("its atoms in a line, as in CC(=O)O")] = ALCOHOL

    def check(self) -> None:
        """The line is that of a molecule small enough."""
        _check(parse(self.line))

    @classmethod
    def of(cls, kinds: Sequence[int], bonds: Sequence[tuple[int, int]]) -> Molecule:
        """From the numbers of the kinds and the pairs that are bound. Raises ``LabError`` for what is no molecule."""
        if len(kinds) > MAX_ATOMS or not kinds:
            raise _odd(f"{len(kinds)} atoms were given; give 1 to {MAX_ATOMS}")
        if not all(0 <= kind < len(ATOMS) for kind in kinds):
            raise _odd(f"an atom of an unknown kind was given; there are {', '.join(ATOMS)}")
        pairs = [(min(bond), max(bond)) for bond in bonds]
        if len(set(pairs)) < len(pairs) or not all(0 <= one < other < len(kinds) for one, other in pairs):
            raise _odd("a bond was given twice, or leads nowhere or back to its atom; bind each two atoms once")
        graph = list(kinds), pairs
        _check(graph)
        return cls(to_line(graph))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Whether it has a ring."""
        return RINGS

    def input_shape(self, size: int) -> Shape:
        """As many places as there are atoms."""
        nodes = len(parse(self.line)[0])
        return {"atoms": (nodes, len(ATOMS)), "bonds": (nodes, nodes)}

    def check_available(self, count: int, size: int) -> None:
        """There is one."""
        if count > 1:
            raise LabError(f"molecule: there is one molecule, not {count} graphs; take a batch of 1, or another data set.")

    def load(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """The molecule."""
        self.check_available(count, size)
        graph = parse(self.line)
        return Batch(batch_of([graph], len(ATOMS)), torch.tensor([int(has_ring(graph))], dtype=torch.long))

    def others(self, batch_size: int, count: int, size: int, generator: torch.Generator) -> Inputs:
        """Molecules of as many atoms, all but one the same, bound anew; of as many bonds or, where no atom is free, fewer."""
        own = parse(self.line)
        return batch_of([_another(own, generator) for _ in range(count)], len(ATOMS))


def _check(graph: Graph) -> None:
    kinds, bonds = graph
    if len(kinds) > MAX_ATOMS:
        raise _odd(f"{len(kinds)} atoms were given; give 1 to {MAX_ATOMS}")
    most = max(Counter(end for bond in bonds for end in bond).values(), default=0)
    if most > MAX_BONDS:
        raise _odd(f"an atom has {most} bonds; give it at most {MAX_BONDS}")


def _odd(what: str) -> LabError:
    return LabError(f"molecule: {what}.")


def _another(own: Graph, generator: torch.Generator) -> Graph:
    """Never the same: one atom is of another kind."""

    def drawn(below: int) -> int:
        return int(torch.randint(below, (), generator=generator))

    kinds, bonds = own
    mixed = [kinds[place] for place in torch.randperm(len(kinds), generator=generator).tolist()]
    mixed[0] = (mixed[0] + 1 + drawn(len(ATOMS) - 1)) % len(ATOMS)
    bound: set[tuple[int, int]] = set()
    free = [MAX_BONDS] * len(kinds)
    for other in range(1, min(len(kinds), len(bonds) + 1)):
        partners = [one for one in range(other) if free[one]]
        _bind(bound, free, partners[drawn(len(partners))], other)
    while len(bound) < len(bonds):
        open_pairs = [
            (one, other)
            for other in range(len(kinds))
            for one in range(other)
            if free[one] and free[other] and (one, other) not in bound
        ]
        if not open_pairs:
            break
        _bind(bound, free, *open_pairs[drawn(len(open_pairs))])
    return mixed, sorted(bound)


def _bind(bound: set[tuple[int, int]], free: list[int], one: int, other: int) -> None:
    bound.add((one, other))
    free[one] -= 1
    free[other] -= 1
