"""What entered a layer, as its gradient tells: a span of vectors, and how sure each direction of it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

CLEAR = 2.0
"""Times the noise that a direction of the span has to be as long."""
LEAST_SHARE = 0.25
"""Of the precision's last digit, relative to the longest direction: rounding is at least that."""
MOST_WAYS = 32
"""Directions that may have been lost."""
CERTAIN = 0.05
"""What share of what lies outside may be blurred by noise for its direction to be known."""
MOST_LEFT = 3_000
"""Vectors whose directions are compared, each with each."""
SKETCH = 24
"""Numbers in which directions are compared, of as many as a layer is wide."""


@dataclass(frozen=True, eq=False)
class GradientSpan:
    """dL/dW = sum of (what came back) x (what entered): its rows span what entered, but for noise.

    A direction that the gradient holds only just above its noise is known only roughly, and so is a vector that needs much
    of it: which vectors lie inside is asked in units of what the noise explains.
    """

    rows: Tensor
    """Orthonormal, shape (rank, entering)."""
    sizes: Tensor
    """How long the gradient is along each."""
    noise: float
    """How long noise alone would be along a direction."""

    @classmethod
    def of(cls, gradient: Tensor, most: int, precision: float) -> GradientSpan:
        """Of a gradient, shape (leaving, entering), of at most so many inputs, in numbers of that ``precision``.

        What is longer than the ``most`` first directions of a sum of so many products is noise, rounding or other.
        """
        _, sizes, rows = torch.linalg.svd(gradient, full_matrices=False)
        beyond = float(sizes[most]) if most < len(sizes) else 0.0
        noise = max(beyond, LEAST_SHARE * precision * float(sizes[0]), 1e-300)
        clear = sizes > CLEAR * noise
        return cls(rows[clear], sizes[clear], noise)

    @property
    def noise_share(self) -> float:
        """How long the noise is, relative to the whole gradient: along a single direction it is twice as long as on average."""
        return self.noise / 2 * self.rows.shape[1] ** 0.5 / max(float(self.sizes.norm()), 1e-300)

    def residual(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """What of each vector lies outside, shape (vectors, entering), and how long that would be by noise alone."""
        inside = vectors @ self.rows.T
        by_noise = (inside / self.sizes).norm(dim=1) * self.noise / 2 + 1e-7 * LEAST_SHARE * vectors.norm(dim=1)
        return vectors - inside @ self.rows, by_noise

    def relative_residual(self, vectors: Tensor) -> Tensor:
        """What share of each vector lies outside; 0 of a vector of zeros."""
        return self.residual(vectors)[0].norm(dim=1) / vectors.norm(dim=1).clamp_min(1e-300)

    def holds(self, vectors: Tensor, near: float) -> Tensor:
        """Which vectors lie inside, but for so many times what noise explains."""
        outside, by_noise = self.residual(vectors)
        return outside.norm(dim=1) <= near * by_noise

    def with_one_more(self, vectors: Tensor, near: float) -> Iterator[Tensor]:
        """Which vectors lie inside the span and one direction more: all directions that serve several, the fullest first.

        Where a graph's own structure is singular, its layer mixes what the nodes had and one direction gets lost: what is
        left outside of those that were there is parallel.
        """
        outside, by_noise = self.residual(vectors)
        lengths = outside.norm(dim=1)
        inside = lengths <= near * by_noise
        left = (~inside & (near * by_noise < CERTAIN * lengths)).nonzero().flatten()
        if len(left) > MOST_LEFT:
            return
        unit = outside[left] / lengths[left].unsqueeze(1)
        if unit.shape[1] > SKETCH:
            unit = unit @ torch.randn(unit.shape[1], SKETCH, generator=torch.Generator().manual_seed(0), dtype=unit.dtype)
            unit = unit / unit.norm(dim=1, keepdim=True)
        blur = near * by_noise[left] / lengths[left]
        apart = (1 - (unit @ unit.T).square()).clamp_min(0).sqrt()
        together = apart <= 2 * (blur.unsqueeze(0) + blur.unsqueeze(1))
        groups = {tuple(row.nonzero().flatten().tolist()) for row in together[together.sum(1) > 1]}
        for group in sorted(groups, key=lambda members: (-len(members), members))[:MOST_WAYS]:
            chosen = inside.clone()
            chosen[left[list(group)]] = True
            yield chosen
