"""The match of each layer as plain data, computed while the attack runs and somebody looks."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from widgets.run.frames import spoken_names

if TYPE_CHECKING:
    from lab import AttackState, Round

SHARE = 0.05
"""Of the attack's time, at most so much goes into looking at the layers."""


class LayerWatch:
    """Compares the layers of the last state, and of as many before it as cost little while somebody looks."""

    def __init__(self, attacked: Round) -> None:
        from lab.evaluation.layer_match import LayerMatcher

        self._matcher = LayerMatcher(attacked.observation)
        self._network = attacked.observation.network
        self._next = 0.0

    def __call__(self, state: AttackState, *, wanted: bool) -> list[dict[str, Any]]:
        """The layers of a state, each under the name that a reader knows; nothing where it is not the time."""
        began = time.perf_counter()
        if state.outcome is None and not (wanted and began >= self._next):
            return []
        found = self._matcher(state)
        names = spoken_names(self._network, [layer.name for layer in found])
        self._next = began + (time.perf_counter() - began) / SHARE
        return [asdict(layer) | {"name": names[layer.name]} for layer in found]
