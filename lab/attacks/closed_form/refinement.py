"""The last joint solve, from a provisional picture to the exact one.

From the lowest layer that tells the whole picture first. Where that stalls, from the layers above it, with
what is known beneath; then with the layers read again and again from the picture found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from lab.attacks.closed_form.gauss_newton import Effort, Step
from lab.attacks.closed_form.joint import JOINT, PRECISION, solve
from lab.attacks.closed_form.layer_equations import LayerEquations
from lab.attacks.closed_form.pattern_update import update_pattern
from lab.attacks.closed_form.shapes import FeatureMaps
from lab.attacks.closed_form.system import System
from lab.attacks.closed_form.weight_equations import KnownOutput

SOLVED_RESIDUAL = 1e-5
"""Relative residual of a joint solve in single precision that leaves nothing open."""
EXPLAINED_RESIDUAL = 1e-5
"""The same with the weight gradients of all layers, as the picture's own activation pattern makes them."""
NOISE_FACTOR = 10.0
"""A residual of so many times the noise is not worth another start."""
BETWEEN_UPDATES = Effort(steps=6, inner=100, exact=2e-6)
"""Between two readings."""
PATTERN_UPDATES = 6
"""So often may the layers be read again."""
MAX_START_RESIDUAL = 0.1
"""Relative residual of a picture from which it is worth while."""


@dataclass(frozen=True, eq=False)
class RefinementStep:
    """One step, with the module from which down the layers were solved."""

    top: int
    step: Step


@dataclass(frozen=True, eq=False)
class Refinement:
    """``anchors`` are the modules whose outputs are known, by number, top to bottom."""

    system: System
    anchors: Sequence[tuple[int, KnownOutput]]

    def run(self, picture: FeatureMaps) -> Iterator[RefinementStep]:
        """Steps from a provisional ``picture``."""
        before = now = picture.to(PRECISION)
        residual = 1.0
        for number in reversed(range(len(self.anchors))):
            top, known = self.anchors[number]
            if not self.system.determines(top, known, 0):
                continue
            entered = now
            for step in solve(self._equations(number), now, JOINT):
                yield RefinementStep(top, step)
                now, residual = step.point.values, step.residual
            before = before if now is entered else entered
            if self._is_explained(now, residual):
                return
        if self.system.has_kinks and not self.system.noisy and residual < MAX_START_RESIDUAL:
            yield from self._update_pattern(before, now)

    def _update_pattern(self, before: Tensor, now: Tensor) -> Iterator[RefinementStep]:
        """Steps from a picture that is nearly right, ``now``, and the one before it."""
        top = self.anchors[0][0]
        bare = replace(self._equations(0), below={})
        for _ in range(PATTERN_UPDATES):
            updated = replace(bare, below=update_pattern(bare.at(now), bare.at(before)))
            before, residual = now, 1.0
            for step in solve(updated, now, BETWEEN_UPDATES):
                yield RefinementStep(top, step)
                now, residual = step.point.values, step.residual
            if now is before or self._is_explained(now, residual):
                return

    def _equations(self, number: int) -> LayerEquations:
        """The equations from this anchor down to the picture, with what the anchors beneath it tell."""
        top, known = self.anchors[number]
        return self.system.equations(0, top, known, dict(self.anchors[number + 1 :])).to(PRECISION)

    def _is_explained(self, picture: Tensor, residual: float) -> bool:
        """Whether the picture is exact, as far as the noise lets it be."""
        if self.system.noisy or not self.system.has_kinks:
            return residual <= max(SOLVED_RESIDUAL, NOISE_FACTOR * self.system.noise.relative)
        whole = replace(self._equations(0), below={}, complete=True)
        return whole.at(picture).relative_residual <= EXPLAINED_RESIDUAL
