"""What the singular values of a gradient, the largest first, tell: its directions, and the noise behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lab.lazy import Float, Tensor


def rank_of(sizes: Float[Tensor, " directions"], rounding: float) -> int:
    """How many are more than such a share of the largest."""
    return int((sizes > rounding * sizes[:1]).sum())


def noise_behind(sizes: Float[Tensor, " directions"], shape: Sequence[int], rank: int) -> float:
    """The standard deviation of noise in a gradient (rows, columns) that would have this rank without it; 0 where all is.

    Its directions take (rows + columns - rank) rank degrees of freedom; noise is all of the others.
    """
    rows, columns = shape
    free = (rows - rank) * (columns - rank)
    return float(sizes[rank:].square().sum().sqrt()) / math.sqrt(free) if min(shape) > rank else 0.0
