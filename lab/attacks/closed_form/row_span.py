"""The span of what entered a linear layer, read off its gradient, and how far a vector lies outside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lab.lazy import Bool, Float, Tensor, torch

from lab.federated.singular_values import noise_behind

FLOOR = 1e-9
"""Singular values are told to no less than this share of the largest."""

FLOAT32_SHARE = 1e-7
"""Singular values below this share of the largest are what sums of float32 leave: not white, so no edge tells them."""

FLOAT32_DISTANCE = 1e-6
"""Outside of which rounding to float32 puts an input at most, wherever the gradient tells its directions well."""

EDGE_FACTOR = 1.1
"""Times the largest singular value that random numbers of the rest's size would have: what is above is told."""

NOISE_TAIL_PERCENT = 75
"""Of the directions, behind which noise is sought where as many inputs might be summed as there are."""

MAX_ROUNDS = 20
"""Of telling signal from noise; each lowers the rank or ends."""

ROUNDING_SHARE = 0.25
"""Of a precision's last digit, relative to the largest singular value: rounding is at least that."""

SIGNAL_FACTOR = 2.0
"""Times the largest singular value of the noise that one of the signal has at least."""


@dataclass(frozen=True, eq=False)
class SpanDistances:
    """How vectors lie to a span."""

    distance: Float[Tensor, "*candidates"]
    """||a - its part in the span|| / ||a||."""
    uncertainty: Float[Tensor, "*candidates"]
    """The distance that noise in the gradient gives a vector like this one, though it lie inside: more where a direction is
    told faintly."""
    typical: float
    """The distance of a random vector."""

    @classmethod
    def joined(cls, parts: Sequence[SpanDistances]) -> SpanDistances:
        """Of vectors that were looked at in parts, all to the same span."""
        return cls(
            torch.cat([part.distance for part in parts]), torch.cat([part.uncertainty for part in parts]), parts[0].typical
        )

    @property
    def fits(self) -> Bool[Tensor, "*candidates"]:
        """Nearer, on a logarithmic scale, to what lies inside than to what is random."""
        return self.distance < (self.uncertainty * self.typical).sqrt()

    @property
    def relative_residual(self) -> Float[Tensor, "*candidates"]:
        """How many times farther outside than noise puts what lies inside; about 1, or less, for what does."""
        return self.distance / self.uncertainty


@dataclass(frozen=True, eq=False)
class RowSpan:
    """The row space of dL/dW = sum_i delta_i a_i^T: all a_i lie in it (Petrov et al., "DAGER", NeurIPS 2024), but for noise.

    A gradient of noise N turns direction k by N / s_k, so a direction that is only just longer than the noise is known only
    roughly, and so is a vector that needs much of it.
    """

    rows: Float[Tensor, "directions width"]
    """Orthonormal; those that span it first."""
    singular_values: Float[Tensor, " directions"]
    """How long the gradient is along each."""
    rank: int
    """How many directions the gradient tells."""
    noise: float
    """How long the noise outside is along one direction, in the unit of the singular values."""

    @classmethod
    def of(cls, gradient: Float[Tensor, "outputs width"], most: int) -> RowSpan:
        """With noise as its singular values tell it, these over the largest.

        In double precision, where at most so many inputs were summed and there are no fewer outputs than numbers in each.
        """
        _, values, rows = torch.linalg.svd(gradient.detach().cpu().double(), full_matrices=False)
        shares = (values / values[0].clamp_min(1e-300)).clamp_min(FLOOR)
        rank = _rank(shares, len(gradient), most)
        return cls(rows, shares, rank, float((shares[rank:].square().sum() / (len(gradient) - rank)).sqrt()))

    @classmethod
    def at_precision(cls, gradient: Float[Tensor, "outputs width"], most: int, precision: float) -> RowSpan:
        """With noise of at least the last digit, ``precision``, of the numbers that were sent.

        What is longer than the ``most`` first directions of a sum of so many products is noise, rounding or other: its
        largest singular value is about twice its length along one direction.
        """
        _, values, rows = torch.linalg.svd(gradient, full_matrices=False)
        beyond = float(values[most]) if most < len(values) else 0.0
        noise = max(beyond, ROUNDING_SHARE * precision * float(values[0]), 1e-300)
        return cls(rows, values, int((values > SIGNAL_FACTOR * noise).sum()), noise / 2)

    @property
    def basis(self) -> Float[Tensor, "rank width"]:
        """What spans it."""
        return self.rows[: self.rank]

    @property
    def width(self) -> int:
        """How many numbers an input has."""
        return self.rows.shape[1]

    @property
    def typical(self) -> float:
        """The distance of a random vector: sqrt(1 - rank / width)."""
        return math.sqrt(max(1 - self.rank / self.width, 0))

    @property
    def noise_share(self) -> float:
        """How long the noise is, relative to the whole gradient."""
        return self.noise * self.width**0.5 / max(float(self.singular_values[: self.rank].norm()), 1e-300)

    def residual(
        self, vectors: Float[Tensor, "*candidates width"]
    ) -> tuple[Float[Tensor, "*candidates width"], Float[Tensor, "*candidates"]]:
        """What of each vector is at right angles to the span, and how long noise alone would make that."""
        along = vectors @ self.basis.T
        return vectors - along @ self.basis, self._turned(along)

    def relative_residual(self, vectors: Float[Tensor, "*candidates width"]) -> Float[Tensor, "*candidates"]:
        """What share of each vector lies outside; 0 of a vector of zeros."""
        return self.residual(vectors)[0].norm(dim=-1) / vectors.norm(dim=-1).clamp_min(1e-300)

    def spread(self, vectors: Float[Tensor, "*candidates width"]) -> SpanDistances:
        """How vectors lie to it, each at length one; of a span that ``of`` read, whose rows are all there are."""
        vectors = vectors.detach().cpu().double()
        vectors = vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-300)
        along, complement = vectors @ self.basis.T, self.rows[self.rank :]
        outside = vectors - along @ self.basis if self.rank < len(complement) else vectors @ complement.T  # whichever is less
        uncertainty = (self._turned(along).square() + FLOAT32_DISTANCE**2).sqrt()
        return SpanDistances(outside.norm(dim=-1), uncertainty, self.typical)

    def _turned(self, along: Float[Tensor, "*candidates rank"]) -> Float[Tensor, "*candidates"]:
        """How far noise turns vectors of these coordinates out of the span."""
        return (along * (self.noise / self.singular_values[: self.rank])).norm(dim=-1)


def _rank(shares: Tensor, outputs: int, most: int) -> int:
    """What stands out of noise, whose size is told by what must be noise; where nothing must, by the last directions.

    Where even those tell of inputs, the rank is where singular values drop most.
    """
    width = len(shares)
    start = most if most < width else NOISE_TAIL_PERCENT * width // 100
    rank = _above_noise(shares, outputs, start)
    return rank if rank < start or start == most else int((shares[:-1] / shares[1:]).argmax()) + 1


def _above_noise(shares: Tensor, outputs: int, rank: int) -> int:
    """The singular values of random numbers end at an edge (Marchenko and Pastur 1967)."""
    for _ in range(MAX_ROUNDS):
        rows, columns = outputs - rank, len(shares) - rank
        edge = EDGE_FACTOR * noise_behind(shares, (outputs, len(shares)), rank) * (math.sqrt(rows) + math.sqrt(columns))
        lower = int((shares[:rank] > max(edge, FLOAT32_SHARE)).sum())
        if lower == rank:
            break
        rank = lower
    return rank
