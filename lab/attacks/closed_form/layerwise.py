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
from lab.attacks.closed_form.inactive_units import solve_behind_relu
from lab.attacks.closed_form.joint import JOINT, PRECISION, first_guess, solve
from lab.attacks.closed_form.layer_output import FLOAT32_ERROR, LayerOutput, Progress, below_solved
from lab.attacks.closed_form.nonnegative import RestartSchedule
from lab.attacks.closed_form.refinement import Refinement
from lab.attacks.closed_form.report import LayerRecovery
from lab.attacks.closed_form.shapes import FeatureMaps, Kernels
from lab.attacks.closed_form.system import Noise, System
from lab.attacks.closed_form.weight_equations import KnownOutput

SMOOTH = Effort(steps=1, inner=1500, exact=1e-12, patience=200)
"""One layer under a smooth activation: a joint solve through saturated units would be worse, so insist."""
PIECEWISE = Effort(steps=1, inner=800, exact=1e-12, patience=20)
"""One layer under a ReLU: where it converges slowly, the joint solve is far better conditioned."""
NEAREST = Effort(steps=2, inner=100, exact=1e-6)
"""From a picture that is natural already."""
NONNEGATIVE = RestartSchedule()
"""One layer whose input is a ReLU's output."""
TRUSTED_ERROR = 3e-3
"""A layer counts as exact where condition x residual, a bound on its relative error, stays below this."""
INACTIVE_BELOW = 6.0
"""In standard deviations of the noise: of thousands of silent units not one may pass for active."""
BELOW_ZERO = 3.0
"""So many times the most negative feature, none is taken for active."""
MAX_UNCERTAIN = 0.3
"""Share of a layer's units that may be in doubt before the layer above is the better anchor."""


class LayerwiseInversion:
    """One way down. ``gradients`` holds dL/dW of each convolution by module name."""

    def __init__(self, links: Sequence[Link], gradients: Mapping[str, Kernels], noise: Noise) -> None:
        self.system = System(links, gradients, noise)
        self.layers: dict[str, LayerRecovery] = {}
        self.underdetermined: str | None = None
        self.anchors: list[tuple[int, KnownOutput]] = []

    def run(self, features: FeatureMaps, output_gradient: FeatureMaps) -> Iterator[Progress]:
        """Yield after each layer, then after each step of the final joint solve where one is needed.

        ``features`` is the output of the body and ``output_gradient`` = dL/dfeatures, both (pictures, channels, height, width).
        """
        links, noise = self.system.links, self.system.noise
        error = INACTIVE_BELOW * noise.features if self.system.noisy else _rounding(features)
        output = LayerOutput(len(links), features, torch.ones_like(features), output_gradient, error, True)
        while output.index > 0:
            below = output.below(links[output.index - 1].module)
            output = below or self._invert_convolution(output)
            if below is None:
                yield self._progress(output)
        if not output.exact:
            yield from self._refine(output)

    def _progress(self, output: LayerOutput) -> Progress:
        picture = output.values if output.index == 0 else None
        underdetermined = None if self.underdetermined is None else self.layers[self.underdetermined]
        return Progress(tuple(self.layers.values()), picture, underdetermined)

    def _invert_convolution(self, output: LayerOutput) -> LayerOutput:
        """Solve for the input of the convolution below, alone or jointly with layers further down."""
        known, top = output.known, output.index - 1
        if output.exact:
            self.anchors.append((top, known))
        bottom, enough = self.system.lowest_determined(top, known)
        if not enough:
            self.underdetermined = self.system.links[top].name
        if bottom < top:
            return self._solve_jointly(bottom, top, known, output)
        exact = output.exact and enough
        if self.system.is_behind_relu(top):
            return self._solve_behind_relu(top, known, exact)
        return self._solve_alone(top, known, exact)

    def _solve_alone(self, top: int, known: KnownOutput, exact: bool) -> LayerOutput:
        """One layer by itself: linear least squares."""
        equations = self.system.equations(top, top, known)
        start = torch.zeros(self.system.links[top].input_shape, dtype=known.values.dtype)
        step = _last(gauss_newton(equations, start, PIECEWISE if self.system.has_kinks else SMOOTH))
        if step is None:
            return LayerOutput(top, start, torch.ones_like(start), start, 0.0, False)
        self._report(top, top, step)
        return below_solved(top, step, exact=exact and self._trusts(step))

    def _solve_behind_relu(self, top: int, known: KnownOutput, exact: bool) -> LayerOutput:
        """One layer whose input is a ReLU's output: nowhere negative, and exact once its silent units are known."""
        equations = self.system.equations(top, top, known)
        found = solve_behind_relu(equations, self.system.links[top].input_shape, NONNEGATIVE)
        step = Step(equations.at(found.values), found.residual, found.iterations, found.condition)
        self._report(top, top, step)
        trusted = found.residual <= TRUSTED_ERROR and found.uncertain.double().mean() <= MAX_UNCERTAIN
        return replace(below_solved(top, step, exact=exact and bool(trusted)), error=0.0, uncertain=found.uncertain)

    def _solve_jointly(self, bottom: int, top: int, known: KnownOutput, output: LayerOutput) -> LayerOutput:
        """Several layers at once. Down to the picture only a guess is made: ``Refinement`` goes on from there, step by step."""
        equations = self.system.equations(bottom, top, known).to(PRECISION)
        guess = equations.at(first_guess(equations, self.system.links[bottom].input_shape))
        step = Step(guess, guess.relative_residual, 0, 1.0)
        if bottom > 0:
            step = _last(solve(equations, guess.values, JOINT)) or step
        self._report(bottom, top, step)
        exact = output.exact and bottom > 0 and self.underdetermined is None
        return below_solved(bottom, step, exact=exact and self._trusts(step))

    def _trusts(self, step: Step) -> bool:
        return step.residual * step.condition <= max(TRUSTED_ERROR, self.system.noise.relative)

    def _refine(self, output: LayerOutput) -> Iterator[Progress]:
        """Joint solves down to the picture, from the provisional picture on."""
        for refined in Refinement(self.system, self.anchors).run(output.values):
            self._report(0, refined.top, refined.step)
            yield self._progress(replace(output, values=refined.step.point.values.double()))

    def nearest_solution(self, picture: FeatureMaps) -> FeatureMaps:
        """The normalised picture nearest to this one among those that the equations below the lowest known output allow."""
        top, known = self.anchors[-1]
        step = _last(gauss_newton(self.system.equations(0, top, known), picture, NEAREST))
        return picture if step is None else step.point.values

    def _report(self, bottom: int, top: int, step: Step) -> None:
        for layer in self.system.recoveries(bottom, top, step):
            self.layers[layer.name] = layer


def _rounding(features: Tensor) -> float:
    """The absolute error of inputs that were set apart: a silent unit's is 0 to the last bit of one picture alone.

    Behind a ReLU those that came out negative show how far.
    """
    return 0.0 if len(features) == 1 else max(FLOAT32_ERROR * float(features.abs().max()), -BELOW_ZERO * float(features.min()))


def _last(steps: Iterator[Step]) -> Step | None:
    step = None
    for step in steps:  # noqa: B007  (the last one is wanted)
        pass
    return step
