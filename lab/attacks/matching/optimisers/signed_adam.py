"""Adam on the sign of the image gradient, as the paper does it."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Tensor

from lab.attacks.matching.optimisers.adam import Adam


@dataclass(frozen=True)
class SignedAdam(Adam):
    """Adam that sees only the sign of each pixel's gradient (Geiping et al. 2020, section 5)."""

    def direction(self, gradient: Tensor) -> Tensor:
        """-1, 0 or 1 for each pixel: tiny gradients move the picture as fast as large ones."""
        return gradient.sign()
