"""What is told of neighbourhoods that were counted: each with its number, how well it fits, and the nearest that does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.attacks.base import Reading
from lab.attacks.graph.neighbourhood_types import Types
from lab.modalities.graphs.line_notation import names_of


@dataclass(frozen=True, eq=False)
class Listed:
    """The deepest neighbourhoods, all that were listed: ``off`` says what share of each lies outside the last layer's span."""

    types: Types
    labels: Sequence[int]
    """The kind of node that each type one hop less deep stands for."""
    off: Tensor
    fits: Tensor
    """Which were kept."""

    def readings(self, counts: Sequence[int], kinds: int) -> tuple[Reading, ...]:
        """One for each of the kept that a graph has, in their order; ``counts`` says how often."""
        kept = self.fits.nonzero().flatten().tolist()
        there = [(row, number) for row, number in zip(kept, counts, strict=True) if number]
        return tuple(self._reading(row, number, kinds) for row, number in there)

    def _reading(self, row: int, number: int, kinds: int) -> Reading:
        other = self._nearest_refused(row)
        what = f"{self._spelt(row, kinds)} ×{number}"
        if other is None:
            return Reading(what, float(self.off[row]), "", math.inf)
        return Reading(what, float(self.off[row]), self._spelt(other, kinds), float(self.off[other]))

    def _nearest_refused(self, row: int) -> int | None:
        """Of those around a node of this kind; None where none was refused."""
        own = self.labels[self.types.centre[row]]
        alike = torch.tensor([self.labels[centre] == own for centre in self.types.centre])
        refused = (alike & ~self.fits).nonzero().flatten()
        return int(refused[self.off[refused].argmin()]) if len(refused) else None

    def _spelt(self, row: int, kinds: int) -> str:
        """An atom and what it is bound to: C(CCO)."""
        names = names_of(kinds)
        around = sorted(self.labels[other] for other in self.types.around[row])
        return f"{names[self.labels[self.types.centre[row]]]}({''.join(names[kind] for kind in around)})"
