"""What is told of an atom's neighbours: how well they fit what was shared, and the nearest that do not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.attacks.base import Reading
from lab.attacks.graph.neighbourhood_types import Types
from lab.modalities.graphs.line_notation import names_of


@dataclass(frozen=True, eq=False)
class Listed:
    """All neighbourhoods of one hop."""

    types: Types
    bare: Types
    """What a node is without its neighbours."""
    off: Tensor
    """What share of each lies outside what the next layer was given."""
    fits: Tensor
    """Which were kept."""

    def reading(self, row: int, count: int, kinds: int) -> Reading:
        """One of them, and how many nodes have it; ``kinds`` says how many kinds of nodes there are."""
        other = self._nearest_refused(row)
        what = f"{self._spelt(row, kinds)} ×{count}"
        if other is None:
            return Reading(what, float(self.off[row]), "", math.inf)
        return Reading(what, float(self.off[row]), self._spelt(other, kinds), float(self.off[other]))

    def _nearest_refused(self, row: int) -> int | None:
        """Of those around a node of this kind; None where none was refused."""
        own = self.kind(row)
        alike = torch.tensor([self.kind(other) == own for other in range(len(self.types))])
        refused = (alike & ~self.fits).nonzero().flatten()
        return int(refused[self.off[refused].argmin()]) if len(refused) else None

    def _spelt(self, row: int, kinds: int) -> str:
        """An atom and what it is bound to, with the bonds of each where it has several: C(C₃C₂O)."""
        names = names_of(kinds)
        around = [
            f"{names[self.bare.centre[other]]}{_lowered(len(self.bare.around[other]))}" for other in self.types.around[row]
        ]
        return f"{names[self.kind(row)]}({''.join(around)})"

    def kind(self, row: int) -> int:
        """Of its centre."""
        return self.bare.centre[self.types.centre[row]]


def _lowered(bonds: int) -> str:
    return "".join("₀₁₂₃₄₅₆₇₈₉"[int(digit)] for digit in str(bonds)) if bonds > 1 else ""
