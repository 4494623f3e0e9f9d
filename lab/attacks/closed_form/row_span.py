"""The span of what entered a linear layer, read off its gradient, and how far a vector lies outside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lab.late import Float, Tensor, torch

FLOOR = 1e-9
"""Singular values below this share of the largest are rounding, whatever their ratios."""

ROUNDED = 1e-6
"""Outside of which rounding to float32 puts an input of a trained network, whose gradients are of unlike lengths."""


@dataclass(frozen=True, eq=False)
class RowSpan:
    """The row space of dL/dW = sum_i delta_i a_i^T: all a_i lie in it (Petrov et al., "DAGER", NeurIPS 2024)."""

    basis: Float[Tensor, "rank width"]
    """Orthonormal rows."""
    shares: Float[Tensor, " directions"]
    """Singular values of the gradient over the largest, those of the basis first."""

    @classmethod
    def of(cls, gradient: Float[Tensor, "outputs width"]) -> RowSpan:
        """In double precision; the rank is where singular values drop most, so that noise does not count as input."""
        _, values, rows = torch.linalg.svd(gradient.detach().cpu().double(), full_matrices=False)
        values = values.clamp_min(FLOOR * values[0])
        rank = int((values[:-1] / values[1:]).argmax()) + 1 if bool(values[0] > 0) else 0
        return cls(rows[:rank], values / values[0].clamp_min(1e-300))

    @property
    def rank(self) -> int:
        """How many directions the gradient tells."""
        return len(self.basis)

    @property
    def width(self) -> int:
        """How many there are."""
        return self.basis.shape[1]

    @property
    def typical(self) -> float:
        """The distance of a random vector: sqrt(1 - rank / width)."""
        return math.sqrt(max(1 - self.rank / self.width, 0))

    def distance(self, vectors: Float[Tensor, "*candidates width"]) -> Float[Tensor, "*candidates"]:
        """||a - its part in the span|| / ||a||."""
        vectors = vectors.detach().cpu().double()
        outside = vectors - (vectors @ self.basis.T) @ self.basis
        return outside.norm(dim=-1) / vectors.norm(dim=-1).clamp_min(1e-300)

    def cut(self, least: float) -> float:
        """Between what fits, at ``least`` say, and what a random vector has: their geometric mean."""
        return math.sqrt(max(least, ROUNDED) * self.typical)
