"""The span of what entered a linear layer, read off its gradient, and how far a vector lies outside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lab.lazy import Bool, Float, Tensor, torch

from lab.federated.singular_values import noise_behind

FLOOR = 1e-9
"""Singular values are told to no less than this share of the largest."""

ROUNDING = 1e-7
"""Singular values below this share of the largest are what sums of float32 leave: not white, so no edge tells them."""

ROUNDED = 1e-6
"""Outside of which rounding to float32 puts an input at most, wherever the gradient tells its directions well."""

CLEAR = 1.1
"""Times the largest singular value that random numbers of the rest's size would have: what is above is told."""

SURE = 75
"""Per cent of the directions, behind which noise is sought where as many inputs might be summed as there are."""

AT_MOST = 20
"""Rounds of telling signal from noise; each lowers the rank or ends."""


@dataclass(frozen=True, eq=False)
class SpanDistances:
    """How vectors lie to a span."""

    distance: Float[Tensor, "*candidates"]
    """||a - its part in the span|| / ||a||."""
    blur: Float[Tensor, "*candidates"]
    """The distance that noise in the gradient gives a vector like this one, though it lie inside: more where a direction is
    told faintly."""
    typical: float
    """The distance of a random vector."""

    @classmethod
    def joined(cls, parts: Sequence[SpanDistances]) -> SpanDistances:
        """Of vectors that were looked at in parts, all to the same span."""
        return cls(torch.cat([part.distance for part in parts]), torch.cat([part.blur for part in parts]), parts[0].typical)

    @property
    def fits(self) -> Bool[Tensor, "*candidates"]:
        """Nearer, on a logarithmic scale, to what lies inside than to what is random."""
        return self.distance < (self.blur * self.typical).sqrt()

    @property
    def relative_residual(self) -> Float[Tensor, "*candidates"]:
        """How many times farther outside than noise puts what lies inside; about 1, or less, for what does."""
        return self.distance / self.blur


@dataclass(frozen=True, eq=False)
class RowSpan:
    """The row space of dL/dW = sum_i delta_i a_i^T: all a_i lie in it (Petrov et al., "DAGER", NeurIPS 2024)."""

    rows: Float[Tensor, "width width"]
    """Orthonormal; those that span it first."""
    shares: Float[Tensor, " width"]
    """Singular values of the gradient over the largest, in the same order."""
    rank: int
    """How many directions the gradient tells."""
    noise: float
    """How long the noise outside is for each output, over the largest singular value."""

    @classmethod
    def of(cls, gradient: Float[Tensor, "outputs width"], most: int) -> RowSpan:
        """In double precision, where at most so many inputs were summed and there are no fewer outputs than numbers in each."""
        _, values, rows = torch.linalg.svd(gradient.detach().cpu().double(), full_matrices=False)
        shares = (values / values[0].clamp_min(1e-300)).clamp_min(FLOOR)
        rank = _rank(shares, len(gradient), most)
        return cls(rows, shares, rank, float((shares[rank:].square().sum() / (len(gradient) - rank)).sqrt()))

    @property
    def width(self) -> int:
        """How many directions there are."""
        return len(self.rows)

    @property
    def typical(self) -> float:
        """The distance of a random vector: sqrt(1 - rank / width)."""
        return math.sqrt(max(1 - self.rank / self.width, 0))

    def spread(self, vectors: Float[Tensor, "*candidates width"]) -> SpanDistances:
        """A gradient of noise N turns direction k by N / s_k, so what lies along it is put outside by as much."""
        vectors = vectors.detach().cpu().double()
        vectors = vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-300)
        basis, rest = self.rows[: self.rank], self.rows[self.rank :]
        along = vectors @ basis.T
        outside = vectors - along @ basis if len(basis) < len(rest) else vectors @ rest.T  # whichever is less work
        turned = along * (self.noise / self.shares[: self.rank])
        return SpanDistances(outside.norm(dim=-1), (turned.square().sum(-1) + ROUNDED**2).sqrt(), self.typical)


def _rank(shares: Tensor, outputs: int, most: int) -> int:
    """What stands out of noise, whose size is told by what must be noise; where nothing must, by the last directions.

    Where even those tell of inputs, the rank is where singular values drop most.
    """
    width = len(shares)
    start = most if most < width else SURE * width // 100
    rank = _above_noise(shares, outputs, start)
    return rank if rank < start or start == most else int((shares[:-1] / shares[1:]).argmax()) + 1


def _above_noise(shares: Tensor, outputs: int, rank: int) -> int:
    """The singular values of random numbers end at an edge (Marchenko and Pastur 1967)."""
    for _ in range(AT_MOST):
        rows, columns = outputs - rank, len(shares) - rank
        edge = CLEAR * noise_behind(shares, (outputs, len(shares)), rank) * (math.sqrt(rows) + math.sqrt(columns))
        lower = int((shares[:rank] > max(edge, ROUNDING)).sum())
        if lower == rank:
            break
        rank = lower
    return rank
