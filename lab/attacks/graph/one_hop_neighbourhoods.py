"""What is told of an atom's neighbours: how well they fit what was shared, and the nearest that do not."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lab.attacks.base import RecoveredPart
from lab.attacks.graph.neighbourhood_types import Types
from lab.modalities.graphs.line_notation import names_of


@dataclass(frozen=True, eq=False)
class OneHopNeighbourhoods:
    """All neighbourhoods of one hop that were looked at."""

    centre: list[int]
    around: list[tuple[int, ...]]
    """As ``Types`` has them."""
    bare: Types
    """What a node is without its neighbours."""
    off: list[float]
    """What share of each lies outside what the next layer was given."""
    fits: frozenset[int]
    """Which were kept."""

    def recovered_part(self, row: int, count: int, kinds: int) -> RecoveredPart:
        """One of them, and how many nodes have it; ``kinds`` says how many kinds of nodes there are."""
        other = self._nearest_refused(row)
        what = f"{self._spelt(row, kinds)} ×{count}"
        if other is None:
            return RecoveredPart(what, self.off[row], "", math.inf)
        return RecoveredPart(what, self.off[row], self._spelt(other, kinds), self.off[other])

    def _nearest_refused(self, row: int) -> int | None:
        """Of those around a node of this kind; None where none was refused."""
        own = self.kind(row)
        refused = (other for other in range(len(self.centre)) if self.kind(other) == own and other not in self.fits)
        return min(refused, key=self.off.__getitem__, default=None)

    def _spelt(self, row: int, kinds: int) -> str:
        """An atom and what it is bound to, with the bonds of each where it has several: C(C₃C₂O)."""
        names = names_of(kinds)
        around = sorted((self.bare.centre[other], len(self.bare.around[other])) for other in self.around[row])
        told = "".join(f"{names[kind]}{_lowered(bonds)}" for kind, bonds in around)
        return f"{names[self.kind(row)]}({told})"

    def kind(self, row: int) -> int:
        """Of its centre."""
        return self.bare.centre[self.centre[row]]


def _lowered(bonds: int) -> str:
    return "".join("₀₁₂₃₄₅₆₇₈₉"[int(digit)] for digit in str(bonds)) if bonds > 1 else ""
