"""Adam on the image gradient, each one brought to the same size."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Tensor

from lab.attacks.matching.optimisers.adam import Adam

TINY = 1e-30
"""Stands in for the size of a gradient that is zero."""


@dataclass(frozen=True)
class NormalisedAdam(Adam):
    """Adam that sees each gradient divided by its mean absolute value.

    The gradient of a cosine distance shrinks a few hundredfold within an attack, faster than Adam's memory of
    squares, which spans a thousand steps: plain Adam slows down. The sign (Geiping et al. 2020, section 5)
    keeps its pace, but forgets which pixels are nearly right, and makes them tremble.
    """

    def direction(self, gradient: Tensor) -> Tensor:
        """The gradient at a mean size of 1 over all pictures; zero stays zero."""
        return gradient / gradient.abs().mean().clamp_min(TINY)
