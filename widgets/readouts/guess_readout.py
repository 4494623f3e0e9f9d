"""What a guess would send and which way it is moved, as plain data, computed while the attack runs and somebody looks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from widgets.run.frames import Looked, cells, pixels, spoken_names, tiled

if TYPE_CHECKING:
    import numpy as np

    from lab import AttackState, Round
    from lab.attacks.base import Attack
    from lab.evaluation.layer_match import LayerMatch
    from lab.evaluation.round import RoundWithoutTruth
    from lab.federated.tensors import Inputs

SHARE = 0.08
"""Of the time, pauses of the pace included, at most so much goes into looking."""
CONTRAST = 6.0
"""What is moved by half as many times the mean is drawn white or black."""


class GuessReadout:
    """Looks at the last state, and at as many before it as cost little while somebody wants to see them."""

    def __init__(self, attack: Attack, attacked: Round | RoundWithoutTruth) -> None:
        from lab.evaluation.descent_direction import DescentDirection
        from lab.evaluation.layer_match import LayerMatcher
        from lab.federated.tensors import IMAGES

        seen = attacked.observation.to(attacked.observation.device)  # a copy of the network, without the attack's hooks
        self._matcher = LayerMatcher(seen)
        self._downhill = DescentDirection(attack, seen)
        self._of_pictures = seen.modality == IMAGES
        layers = dict.fromkeys(name.rpartition(".")[0] for name in seen.update)
        self._spoken = spoken_names(seen.network, layers)
        self._next = 0.0

    def __call__(self, state: AttackState, *, wanted: bool, opened: str = "") -> Looked:
        """What there is to see of a state, of the layer that is ``opened`` more; nothing where it is not the time."""
        began = time.perf_counter()
        if state.outcome is None and not (wanted and began >= self._next):
            return Looked()
        looked = self.at(state, opened)
        self._next = began + (time.perf_counter() - began) / SHARE
        return looked

    def at(self, state: AttackState, opened: str = "") -> Looked:
        """The layers of a state, each under the name that a reader knows, and the movement."""
        found = self._matcher(state, next((name for name, spoken in self._spoken.items() if spoken == opened), ""))
        moved = _movement(self._downhill(state)) if self._of_pictures else None
        return Looked([_row(layer, self._spoken[layer.name]) for layer in found], moved)


def _row(layer: LayerMatch, name: str) -> dict[str, Any]:
    row = asdict(layer) | {"name": name, "cells": cells(layer.drawn)}
    del row["drawn"], row["sheet"]
    if layer.sheet is None:
        return row
    return row | {"sheet": {"units": layer.sheet.units, "sent": cells(layer.sheet.sent), "guess": cells(layer.sheet.guess)}}


def _movement(downhill: Inputs | None) -> np.ndarray | None:
    """The slope as a picture around grey: lighter where the guess is made lighter. None where nothing is moved."""
    if downhill is None or isinstance(downhill, Mapping):
        return None
    moved = downhill.mean(1, keepdim=True)
    return tiled(pixels(0.5 + moved / (CONTRAST * float(moved.abs().mean()) or 1.0)))[..., 0]
