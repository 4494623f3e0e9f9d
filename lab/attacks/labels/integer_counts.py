"""How long an update is, told by its labels: there are whole numbers of pictures of each class."""

from __future__ import annotations

import math

from lab.lazy import Float, Tensor, torch

LARGEST_FACTOR, FACTOR_STEP = 1000.0, 1.01
"""Factors are tried from 1 / ``LARGEST_FACTOR`` to it, each ``FACTOR_STEP`` times the last."""
MAX_FRACTION = 0.12
"""So far from whole numbers, root mean square, counts may be: what guessed probabilities are off by."""
MAX_PROBABILITY = 0.5
"""A network that gives a class more than this is no witness: its probabilities of other pictures cannot be guessed so well."""
RESCALED_SHARE = 0.5
"""Another factor than 1 is believed where its counts are less than this share as far from whole as those of 1 are."""


def factor_of_integer_counts(
    constant: Float[Tensor, " classes"], coefficient: Float[Tensor, " classes"], pictures: int
) -> float:
    """R for which the counts ``constant`` + r ``coefficient`` come out whole; 1, the length as told, unless another is better.

    A shared gradient that is 1/r times as long as the batch's own (a clipped one, a sum over the batch) still tells the
    labels: classes without a picture and those with one, two or three stand apart by whole steps at one length alone.
    """
    steps = int(math.log(LARGEST_FACTOR) / math.log(FACTOR_STEP))
    factors = FACTOR_STEP ** torch.arange(-steps, steps + 1, dtype=torch.float64)
    residuals = _residual(constant.double() + factors[:, None] * coefficient.double(), pictures)
    as_sent, best = float(residuals[steps]), int(residuals.argmin())
    clearly = float(residuals[best]) < min(MAX_FRACTION, RESCALED_SHARE * as_sent)
    return float(factors[best]) if clearly else 1.0


def _residual(counts: Float[Tensor, "factors classes"], pictures: int) -> Float[Tensor, " factors"]:
    """How far each row is from whole numbers >= 0 that add up to the pictures, root mean square."""
    whole = counts.round().clamp_min(0)
    excess = (whole.sum(1) - pictures).abs()
    return ((counts - whole).square().sum(1) + excess).div(counts.shape[1]).sqrt()
