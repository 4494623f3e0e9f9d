"""The whole chain's equations: which layers to solve together, and what each solve is told."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from lab.attacks.closed_form.activations import POINTWISE
from lab.attacks.closed_form.chain import Link, describe
from lab.attacks.closed_form.convolution import Convolution
from lab.attacks.closed_form.gauss_newton import Step
from lab.attacks.closed_form.layer_equations import LayerEquations
from lab.attacks.closed_form.linearised import LinearisedConvolution
from lab.attacks.closed_form.rank import Count, count
from lab.attacks.closed_form.report import LayerRecovery
from lab.attacks.closed_form.shapes import Kernels
from lab.attacks.closed_form.weight_equations import KnownOutput

FLOAT32_ERROR = 1e-6
"""Relative misfit that rounding alone leaves."""
WHITENING = 1e-3
"""Behind a ReLU fewer equations suffice, and the weakest directions of dz carry mostly rounding."""
MIN_WHITENING = 1e-5
EQUATIONS_PER_SPARSE_UNKNOWN = 0.9
"""Behind a ReLU most unknowns are zero: so many equations for each suffice."""


@dataclass(frozen=True, eq=False)
class Noise:
    """What the shared numbers are worth: standard deviations of one entry."""

    gradient: float
    features: float
    relative: float
    """||noise|| / ||gradient||."""


@dataclass(frozen=True, eq=False)
class System:
    """A body's modules with dL/dW of each convolution, by module name."""

    links: Sequence[Link]
    gradients: Mapping[str, Kernels]
    noise: Noise

    @cached_property
    def has_kinks(self) -> bool:
        """Whether some activation has a kink."""
        return any(isinstance(link.module, nn.ReLU | nn.LeakyReLU) for link in self.links)

    @property
    def noisy(self) -> bool:
        """Without noise a silent unit's gradient is 0 to the last bit."""
        return self.noise.relative > FLOAT32_ERROR

    def lowest_determined(self, top: int, known: KnownOutput) -> tuple[int, bool]:
        """The lowest layer to solve together with ``top``, and whether the equations suffice then."""
        for bottom in range(top, -1, -1):
            below = self.links[bottom - 1].module if bottom else None
            undone = below is None or isinstance(below, (nn.Conv2d, nn.BatchNorm2d, *POINTWISE))
            starts = isinstance(self.links[bottom].module, nn.Conv2d)
            if starts and undone and self.determines(top, known, bottom):
                return bottom, True
        return 0, False

    def determines(self, top: int, known: KnownOutput, bottom: int) -> bool:
        """Whether the equations of the layer ``top`` are at least as many as the unknowns of the layer ``bottom``."""
        determined = int((known.weight > 0).sum())
        if isinstance(self.links[top].module, nn.Conv2d):
            determined = self._count(top, known).rank
        share = EQUATIONS_PER_SPARSE_UNKNOWN if bottom == top and self.is_behind_relu(top) else 1.0
        return determined >= share * math.prod(self.links[bottom].input_shape)

    def is_behind_relu(self, index: int) -> bool:
        """Whether a layer's input is a ReLU's output, and so clear that its silent units can be told."""
        return index > 0 and isinstance(self.links[index - 1].module, nn.ReLU) and not self.noisy

    def equations(
        self, bottom: int, top: int, known: KnownOutput, below: Mapping[int, KnownOutput] | None = None
    ) -> LayerEquations:
        """The equations of the modules from ``bottom`` to ``top``; ``below`` is keyed by module number."""
        links = self.links[bottom : top + 1]
        return LayerEquations(
            names=[link.name for link in links],
            modules=[link.module for link in links],
            known=known,
            gradients=self.gradients,
            whitening=self._whitening(alone=bottom == top and not self.is_behind_relu(top)),
            complete=not isinstance(links[-1].module, nn.Conv2d),
            below={self.links[index].name: known_below for index, known_below in (below or {}).items()},
            gradient_noise=self.noise.gradient,
            output_noise=self.noise.features,
        )

    def recoveries(self, bottom: int, top: int, step: Step) -> Iterator[LayerRecovery]:
        """One entry for each convolution of the layers solved, top to bottom."""
        names = [link.name for link in self.links[bottom : top + 1] if isinstance(link.module, nn.Conv2d)]
        known = step.point.equations.known
        output_gradient = known.output_gradient
        for position in reversed(range(bottom, top + 1)):
            layer = step.point.linearised[position - bottom]
            if isinstance(layer, LinearisedConvolution):
                own = count(layer.operator, output_gradient, known.weight if position == top else output_gradient)
                yield LayerRecovery(
                    name=self.links[position].name,
                    kind=describe(layer.operator.layer),
                    unknowns=own.unknowns,
                    weight_equations=own.weight_equations,
                    forward_equations=own.forward_equations,
                    rank=own.rank,
                    condition=step.condition,
                    residual=step.residual,
                    iterations=step.iterations,
                    joint=tuple(names) if len(names) > 1 else (),
                    features=layer.input.detach().double(),
                )
            output_gradient = layer.vjp(output_gradient)

    def _whitening(self, *, alone: bool) -> float:
        least = WHITENING if self.has_kinks and not alone else MIN_WHITENING
        return min(1.0, max(least, 1e4 * self.noise.relative if self.noisy else 0.0))

    def _count(self, index: int, known: KnownOutput) -> Count:
        module = self.links[index].module
        assert isinstance(module, nn.Conv2d)
        return count(Convolution(module, self.links[index].input_shape), known.output_gradient, known.weight)
