"""Where the second pass stands: the weights theta + h v, with few trips through memory.

A network of four million parameters is 17 MB; on one core each vector operation over them costs
a thirtieth of a training step, and twice that where it has to ask for fresh memory.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch

from lab.distances.base import Blend, length
from lab.types import Gradients

TINY = 1e-18
"""Stands in for the length of a direction that is zero."""
SLACK = 2.0
"""By how much h may differ from the wanted one for the anchor to serve on."""
ALIKE = 1e-9
"""Relative difference up to which the shares of two blends count as proportional."""


@runtime_checkable
class Shift(Protocol):
    """The way from theta along v."""

    @property
    def length(self) -> float:
        """|v|, at least ``TINY``."""
        ...

    def by(self, h: float) -> tuple[Gradients, float]:
        """The weights theta + h v, and the h that was taken: the given one, or one within ``SLACK`` of it."""
        ...


class PlainShift:
    """Along any v; the weights are written to ``places``, which the next shift may overwrite."""

    def __init__(self, weights: Gradients, direction: Gradients, places: Gradients) -> None:
        self.weights, self.direction, self.places = weights, direction, places
        self.length = max(float(length(direction)), TINY)

    @torch.no_grad()
    def by(self, h: float) -> tuple[Gradients, float]:
        """One addition for each tensor."""
        return {
            name: torch.add(tensor, self.direction[name], alpha=h, out=self.places[name])
            for name, tensor in self.weights.items()
        }, h


class Anchor:
    """theta - c g* for the shares c of a blend, kept from iteration to iteration.

    With v_l = own_l g_l - other_l g*_l, theta + h v = (theta - h other g*) + h own g: as long as
    h other stays the same, one addition a tensor is all, and v itself need not be written down.
    """

    def __init__(self, start: Gradients, shared: Gradients) -> None:
        self.start, self.shared = start, shared
        self.anchored = {name: torch.empty_like(tensor) for name, tensor in start.items()}
        self.places = {name: torch.empty_like(tensor) for name, tensor in start.items()}
        self.shares = [0.0] * len(start)

    def fitting(self, other: list[float], h: float) -> float:
        """An h near the wanted one for which the anchor stands where it should; it is moved where there is none."""
        near = self.shares[0] / other[0] if other[0] else 0.0
        proportional = all(math.isclose(share, near * b, rel_tol=ALIKE) for share, b in zip(self.shares, other, strict=True))
        if proportional and h / SLACK < near < h * SLACK:
            return near
        self._move([h * share for share in other])
        return h

    @torch.no_grad()
    def _move(self, shares: list[float]) -> None:
        self.shares = shares
        for (name, tensor), share in zip(self.start.items(), shares, strict=True):
            torch.sub(tensor, self.shared[name], alpha=share, out=self.anchored[name])


class BlendShift:
    """Along a blend of both updates."""

    def __init__(self, anchor: Anchor, update: Gradients, blend: Blend) -> None:
        self.anchor, self.update, self.blend = anchor, update, blend
        self.length = max(blend.length, TINY)

    @torch.no_grad()
    def by(self, h: float) -> tuple[Gradients, float]:
        """One addition for each tensor, from the anchor."""
        h = self.anchor.fitting(self.blend.other, h)
        shares = zip(self.anchor.anchored.items(), [h * own for own in self.blend.own], strict=True)
        places, update = self.anchor.places, self.update
        return {name: torch.add(tensor, update[name], alpha=share, out=places[name]) for (name, tensor), share in shares}, h
