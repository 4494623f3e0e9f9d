"""When to stop before the budget is spent: the distance no longer falls."""

from __future__ import annotations

import math

MIN_DECREASE = 0.01
"""A fall by less than this share is none."""


class Plateau:
    """Watches a distance, step by step; ``patience`` steps without a fall worth the name are a plateau, 0 never is one."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.lowest = math.inf
        self.idle = 0

    def reached(self, distance: float) -> bool:
        """Whether the plateau is reached with this distance."""
        if distance < (1 - MIN_DECREASE) * self.lowest:
            self.lowest, self.idle = distance, 0
        else:
            self.idle += 1
        return 0 < self.patience <= self.idle
