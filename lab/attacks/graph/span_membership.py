"""Which vectors entered a layer of a graph network, as the span that its gradient tells allows it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lab.attacks.closed_form.row_span import RowSpan

ROUNDING = 0.25e-7
"""Of a vector's length: how far outside its own rounding puts it."""
MAX_GROUPS = 32
"""Directions that may have been lost."""
MAX_UNCERTAINTY = 0.05
"""What share of what lies outside may be uncertain by noise for its direction to be known."""
MAX_OUTSIDE = 3_000
"""Vectors whose directions are compared, each with each."""
SKETCH_SIZE = 24
"""Numbers in which directions are compared, of as many as a layer is wide (Johnson and Lindenstrauss 1984)."""


def lies_inside(span: RowSpan, vectors: Tensor, near: float) -> Tensor:
    """Which vectors lie inside, but for so many times what noise explains."""
    outside, uncertainty = _residual(span, vectors)
    return outside.norm(dim=1) <= near * uncertainty


def inside_with_one_more(span: RowSpan, vectors: Tensor, near: float) -> Iterator[Tensor]:
    """Which vectors lie inside the span and one direction more: all directions that serve several, the fullest first.

    Where a graph's own structure is singular, its layer mixes what the nodes had and one direction gets lost: what is
    left outside of those that were there is parallel.
    """
    outside, uncertainty = _residual(span, vectors)
    lengths = outside.norm(dim=1)
    inside = lengths <= near * uncertainty
    left = (~inside & (near * uncertainty < MAX_UNCERTAINTY * lengths)).nonzero().flatten()
    if len(left) > MAX_OUTSIDE:
        return
    parallel = _parallel(outside[left] / lengths[left].unsqueeze(1), near * uncertainty[left] / lengths[left])
    groups = {tuple(row.nonzero().flatten().tolist()) for row in parallel[parallel.sum(1) > 1]}
    for group in sorted(groups, key=lambda members: (-len(members), members))[:MAX_GROUPS]:
        chosen = inside.clone()
        chosen[left[list(group)]] = True
        yield chosen


def _parallel(unit: Tensor, angles: Tensor) -> Tensor:
    """Which two of the unit vectors are parallel, each known but for so large an angle; shape (vectors, vectors)."""
    if unit.shape[1] > SKETCH_SIZE:
        unit = unit @ torch.randn(unit.shape[1], SKETCH_SIZE, generator=torch.Generator().manual_seed(0), dtype=unit.dtype)
        unit = unit / unit.norm(dim=1, keepdim=True)
    apart = (1 - (unit @ unit.T).square()).clamp_min(0).sqrt()
    return apart <= 2 * (angles.unsqueeze(0) + angles.unsqueeze(1))


def _residual(span: RowSpan, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """What of each vector lies outside, and how long noise and its own rounding would make that."""
    outside, turned = span.residual(vectors)
    return outside, turned + ROUNDING * vectors.norm(dim=1)
