"""Down through the body, layer by layer, from the features that enter the head to the picture.

Each layer is solved by itself where its two systems tell all its unknowns. A layer that tells too
few is solved jointly with the layers below it, for an input that is small enough. Where a layer was
solved but not exactly (too ill-conditioned), what follows is provisional: it is the start of one
joint solve down to the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lab.attacks.closed_form.chain import Link
from lab.attacks.closed_form.gauss_newton import Effort, Step, gauss_newton
from lab.attacks.closed_form.inactive_units import sound
from lab.attacks.closed_form.joint import JOINT, PRECISION, first_guess, solve
from lab.attacks.closed_form.layer_output import LEAST_ERROR, Level, Progress, under
from lab.attacks.closed_form.nonnegative import Rounds
from lab.attacks.closed_form.refinement import Settling
from lab.attacks.closed_form.report import LayerRecovery
from lab.attacks.closed_form.system import Noise, System
from lab.attacks.closed_form.weight_equations import Known

SMOOTH = Effort(steps=1, inner=1500, exact=1e-12, patience=200)
"""One layer under a smooth activation: a joint solve through saturated units would be worse, so insist."""
PIECEWISE = Effort(steps=1, inner=800, exact=1e-12, patience=20)
"""One layer under a ReLU: where it converges slowly, the joint solve is far better conditioned."""
NEAREST = Effort(steps=2, inner=100, exact=1e-6)
"""From a picture that is natural already."""
SILENCES = Rounds()
"""One layer whose input is a ReLU's output."""
TRUSTED_ERROR = 3e-3
"""A layer counts as exact where condition x residual, a bound on its relative error, stays below this."""
SILENT_BELOW = 6.0
"""In standard deviations of the noise: of thousands of silent units not one may pass for active."""
BELOW_ZERO = 3.0
"""So many times the most negative feature, none is taken for active."""
MOST_DOUBTED = 0.3
"""Share of a layer's units that may be in doubt before the layer above is the better anchor."""


class Descent:
    """One way down. ``gradients`` holds dL/dW of each convolution by module name."""

    def __init__(self, links: Sequence[Link], gradients: Mapping[str, Tensor], noise: Noise) -> None:
        self.system = System(links, gradients, noise)
        self.layers: dict[str, LayerRecovery] = {}
        self.lacking: str | None = None
        self.anchors: list[tuple[int, Known]] = []

    def run(self, features: Tensor, slope: Tensor) -> Iterator[Progress]:
        """Yield after each layer, then after each step of the final joint solve where one is needed.

        ``features`` is the output of the body and ``slope`` = dL/dfeatures, both (pictures, channels, height, width).
        """
        links, noise = self.system.links, self.system.noise
        error = SILENT_BELOW * noise.features if self.system.noisy else _rounding(features)
        level = Level(len(links), features, torch.ones_like(features), slope, error, True)
        while level.index > 0:
            below = level.below(links[level.index - 1].module)
            level = below or self._undo_convolution(level)
            if below is None:
                yield self._progress(level)
        if not level.exact:
            yield from self._settle(level)

    def _progress(self, level: Level) -> Progress:
        picture = level.values if level.index == 0 else None
        lacking = None if self.lacking is None else self.layers[self.lacking]
        return Progress(tuple(self.layers.values()), picture, lacking)

    def _undo_convolution(self, level: Level) -> Level:
        """Solve for the input of the convolution below, alone or jointly with layers further down."""
        known, top = level.known, level.index - 1
        if level.exact:
            self.anchors.append((top, known))
        bottom, enough = self.system.reach(top, known)
        if not enough:
            self.lacking = self.system.links[top].name
        if bottom < top:
            return self._jointly(bottom, top, known, level)
        exact = level.exact and enough
        if self.system.is_behind_relu(top):
            return self._behind_relu(top, known, exact)
        return self._alone(top, known, exact)

    def _alone(self, top: int, known: Known, exact: bool) -> Level:
        """One layer by itself: linear least squares."""
        stretch = self.system.stretch(top, top, known)
        start = torch.zeros(self.system.links[top].input_shape, dtype=known.values.dtype)
        step = _last(gauss_newton(stretch, start, PIECEWISE if self.system.bends else SMOOTH))
        if step is None:
            return Level(top, start, torch.ones_like(start), start, 0.0, False)
        self._report(top, top, step)
        return under(top, step, exact=exact and self._trusts(step))

    def _behind_relu(self, top: int, known: Known, exact: bool) -> Level:
        """One layer whose input is a ReLU's output: nowhere negative, and exact once its silent units are known."""
        stretch = self.system.stretch(top, top, known)
        found = sound(stretch, self.system.links[top].input_shape, SILENCES)
        step = Step(stretch.at(found.values), found.residual, found.iterations, found.condition)
        self._report(top, top, step)
        trusted = found.residual <= TRUSTED_ERROR and found.doubtful.double().mean() <= MOST_DOUBTED
        return replace(under(top, step, exact=exact and bool(trusted)), error=0.0, doubtful=found.doubtful)

    def _jointly(self, bottom: int, top: int, known: Known, level: Level) -> Level:
        """Several layers at once. Down to the picture only a guess is made: ``Settling`` goes on from there, step by step."""
        stretch = self.system.stretch(bottom, top, known).to(PRECISION)
        guess = stretch.at(first_guess(stretch, self.system.links[bottom].input_shape))
        step = Step(guess, guess.relative_residual, 0, 1.0)
        if bottom > 0:
            step = _last(solve(stretch, guess.values, JOINT)) or step
        self._report(bottom, top, step)
        exact = level.exact and bottom > 0 and self.lacking is None
        return under(bottom, step, exact=exact and self._trusts(step))

    def _trusts(self, step: Step) -> bool:
        return step.residual * step.condition <= max(TRUSTED_ERROR, self.system.noise.relative)

    def _settle(self, level: Level) -> Iterator[Progress]:
        """Joint solves down to the picture, from the provisional picture on."""
        for settled in Settling(self.system, self.anchors).run(level.values):
            self._report(0, settled.top, settled.step)
            yield self._progress(replace(level, values=settled.step.point.values.double()))

    def solved_from(self, picture: Tensor) -> Tensor:
        """The normalised picture nearest to this one among those that the equations below the lowest known output allow."""
        top, known = self.anchors[-1]
        step = _last(gauss_newton(self.system.stretch(0, top, known), picture, NEAREST))
        return picture if step is None else step.point.values

    def _report(self, bottom: int, top: int, step: Step) -> None:
        for layer in self.system.recoveries(bottom, top, step):
            self.layers[layer.name] = layer


def _rounding(features: Tensor) -> float:
    """The absolute error of inputs that were set apart: a silent unit's is 0 to the last bit of one picture alone.

    Behind a ReLU those that came out negative show how far.
    """
    return 0.0 if len(features) == 1 else max(LEAST_ERROR * float(features.abs().max()), -BELOW_ZERO * float(features.min()))


def _last(steps: Iterator[Step]) -> Step | None:
    step = None
    for step in steps:  # noqa: B007  (the last one is wanted)
        pass
    return step
