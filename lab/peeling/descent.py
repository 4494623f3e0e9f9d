"""Down through the body, layer by layer, from the features that enter the head to the picture.

Each layer is solved by itself where its two systems tell all its unknowns. A layer that tells too
few is solved jointly with the layers below it, for an input that is small enough. Where a layer was
solved but not exactly (too ill-conditioned), what follows is provisional: it is the start of one
joint solve from the last exact layer down to the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lab.peeling.activations import POINTWISE, invert
from lab.peeling.body import Link, describe
from lab.peeling.convolution import Convolution
from lab.peeling.gauss_newton import Effort, Step, gauss_newton
from lab.peeling.joint import first_guess, solve
from lab.peeling.nonnegative import Rounds
from lab.peeling.pieces import ConvolutionPiece
from lab.peeling.rank import Count, count
from lab.peeling.report import LayerRecovery
from lab.peeling.silence import sound
from lab.peeling.stretch import Known, Stretch

SMOOTH = Effort(steps=1, inner=1500, exact=1e-12, patience=200)
"""One layer under a smooth activation: a joint solve through saturated units would be worse, so insist."""
PIECEWISE = Effort(steps=1, inner=800, exact=1e-12, patience=20)
"""One layer under a ReLU: where it converges slowly, the joint solve is far better conditioned."""
JOINT = Effort(exact=2e-6)
JOINT_PRECISION = torch.float32
"""Joint solves are well conditioned (about 20): single precision loses nothing and costs half."""
SILENCES = Rounds()
"""One layer whose input is a ReLU's output."""
TRUSTED_ERROR = 3e-3
"""A layer counts as exact where condition x residual, a bound on its relative error, stays below this."""
FLOAT32 = 1e-6
"""Relative misfit that rounding alone leaves."""
SILENT_BELOW = 6.0
"""In standard deviations of the noise: of thousands of silent units not one may pass for active."""
SOLVED = 1e-5
"""Relative residual of a joint solve in single precision that leaves nothing open."""
LEAST_ERROR = 1e-6
"""Relative error of a float32 ratio: what lies below this share of the largest feature is silence."""
WITHIN_NOISE = 10.0
"""A residual of so many times the noise is not worth another start."""
WHITENING = 1e-3
"""Behind a ReLU fewer equations suffice, and the weakest directions of dz carry mostly rounding."""
LEAST_WHITENING = 1e-5
SPARSE = 0.9
"""Behind a ReLU most unknowns are zero: so many equations for each suffice."""
MOST_HIDDEN = 0.5
"""Share of a layer's positions that may be in doubt before the layer above is a better anchor."""


@dataclass(frozen=True, eq=False)
class Noise:
    """What the shared numbers are worth: standard deviations of one entry."""

    gradient: float
    features: float
    relative: float
    """||noise|| / ||gradient||."""


@dataclass(frozen=True, eq=False)
class Level:
    """What is known at one height of the chain: the output of the module ``index`` - 1."""

    index: int
    values: Tensor
    weight: Tensor
    slope: Tensor
    error: float
    """Absolute error of ``values``: smaller ReLU outputs count as silent."""
    exact: bool
    doubtful: Tensor | None = None
    """Where an exact level may still take a silent unit for active or an active one for silent; boolean."""


@dataclass(frozen=True, eq=False)
class Progress:
    """Where the descent stands."""

    layers: tuple[LayerRecovery, ...]
    """Top to bottom."""
    picture: Tensor | None
    """The input of the lowest layer once reached, normalised, shape (1, channels, height, width)."""
    exact: bool
    lacking: LayerRecovery | None = None
    """The layer that has too few equations even together with all layers below it."""


class Descent:
    """One way down. ``gradients`` holds dL/dW of each convolution by module name."""

    def __init__(self, links: Sequence[Link], gradients: Mapping[str, Tensor], noise: Noise) -> None:
        self.links = links
        self.gradients = gradients
        self.noise = noise
        self.layers: dict[str, LayerRecovery] = {}
        self.lacking: str | None = None
        self.anchors: list[tuple[int, Known]] = []
        bends = any(isinstance(link.module, nn.ReLU | nn.LeakyReLU) for link in links)
        self.single = PIECEWISE if bends else SMOOTH
        self.noisy = noise.relative > FLOAT32
        """Without noise a silent unit's gradient is 0 to the last bit."""
        self.bends = bends

    def run(self, features: Tensor, slope: Tensor) -> Iterator[Progress]:
        """Yield after each layer, then after each step of the final joint solve where one is needed.

        ``features`` is the output of the body and ``slope`` = dL/dfeatures, both (1, channels, height, width).
        """
        error = SILENT_BELOW * self.noise.features if self.noisy else 0.0
        level = Level(len(self.links), features, torch.ones_like(features), slope, error, True)
        while level.index > 0:
            level = self._undo_simple(level)
            if level.index == 0:
                break
            level = self._undo_convolution(level)
            yield self._progress(level)
        if not level.exact:
            yield from self._settle(level)

    def _progress(self, level: Level) -> Progress:
        picture = level.values if level.index == 0 else None
        lacking = None if self.lacking is None else self.layers[self.lacking]
        return Progress(tuple(self.layers.values()), picture, level.exact, lacking)

    def _undo_simple(self, level: Level) -> Level:
        """Down through activations and batch norm, which are undone entry by entry."""
        while level.index > 0:
            module = self.links[level.index - 1].module
            if isinstance(module, POINTWISE):
                inverse = invert(module, level.values, level.error)
                level = replace(
                    level, values=inverse.values, weight=level.weight * inverse.weight, slope=inverse.slope * level.slope
                )
            elif isinstance(module, nn.BatchNorm2d):
                level = _undo_batch_norm(module, level)
            else:
                break
            level = replace(level, index=level.index - 1)
        return level

    def _undo_convolution(self, level: Level) -> Level:
        """Solve for the input of the convolution below, alone or jointly with layers further down."""
        known = _known(level)
        top = level.index - 1
        if level.exact:
            self.anchors.append((top, known))
        bottom, enough = self._reach(top, known)
        if not enough:
            self.lacking = self.links[top].name
        if bottom < top:
            return self._jointly(bottom, top, known, level)
        exact = level.exact and enough
        if self._is_behind_relu(top):
            return self._behind_relu(top, known, exact)
        return self._alone(top, known, exact)

    def _alone(self, top: int, known: Known, exact: bool) -> Level:
        """One layer by itself: linear least squares."""
        stretch = self._stretch(top, top, known)
        start = torch.zeros(self.links[top].input_shape, dtype=known.values.dtype)
        step = _last(gauss_newton(stretch, start, self.single))
        if step is None:
            return Level(top, start, torch.ones_like(start), start, 0.0, False)
        self._report(top, top, step)
        trusted = step.residual * step.condition <= max(TRUSTED_ERROR, self.noise.relative)
        return self._below(top, step, exact=exact and trusted)

    def _below(self, bottom: int, step: Step, *, exact: bool) -> Level:
        """The level under a solved stretch."""
        slope = step.point.pulled_slope().double()
        values = step.point.values.double()
        error = max(LEAST_ERROR, 3 * step.residual) * float(values.square().mean().sqrt())
        return Level(bottom, values, torch.ones_like(values), slope, error, exact)

    def _behind_relu(self, top: int, known: Known, exact: bool) -> Level:
        """One layer whose input is a ReLU's output: nowhere negative, and exact once its silent units are known."""
        stretch = self._stretch(top, top, known)
        found = sound(stretch, self.links[top].input_shape, SILENCES)
        step = Step(stretch.at(found.values), found.residual, found.iterations, found.condition)
        self._report(top, top, step)
        positions = found.doubtful.any(1).double().mean()
        trusted = found.residual <= TRUSTED_ERROR and positions <= MOST_HIDDEN
        return replace(self._below(top, step, exact=exact and bool(trusted)), error=0.0, doubtful=found.doubtful)

    def _jointly(self, bottom: int, top: int, known: Known, level: Level) -> Level:
        """Several layers at once. Down to the picture only a guess is made: ``_settle`` goes on from there, step by step."""
        stretch = self._stretch(bottom, top, known).to(JOINT_PRECISION)
        guess = stretch.at(first_guess(stretch, self.links[bottom].input_shape))
        step = Step(guess, guess.relative_residual, 0, 1.0)
        if bottom > 0:
            step = _last(solve(stretch, guess.values, JOINT, suspicious=level.exact)) or step
        self._report(bottom, top, step)
        exact = level.exact and bottom > 0 and self.lacking is None
        trusted = step.residual * step.condition <= max(TRUSTED_ERROR, self.noise.relative)
        return self._below(bottom, step, exact=exact and trusted)

    def _reach(self, top: int, known: Known) -> tuple[int, bool]:
        """The lowest layer to solve together with ``top``, and whether the equations suffice then."""
        for bottom in range(top, -1, -1):
            below = self.links[bottom - 1].module if bottom else None
            undone = below is None or isinstance(below, (nn.Conv2d, nn.BatchNorm2d, *POINTWISE))
            starts = isinstance(self.links[bottom].module, nn.Conv2d)
            if starts and undone and self._tells(top, known, bottom):
                return bottom, True
        return 0, False

    def _tells(self, top: int, known: Known, bottom: int) -> bool:
        """Whether the equations of the layer ``top`` are at least as many as the unknowns of the layer ``bottom``."""
        told = int((known.weight > 0).sum())
        if isinstance(self.links[top].module, nn.Conv2d):
            told = self._count(top, known).rank
        share = SPARSE if bottom == top and self._is_behind_relu(top) else 1.0
        return told >= share * _size(self.links[bottom].input_shape)

    def _is_behind_relu(self, index: int) -> bool:
        """Whether a layer's input is a ReLU's output, and so clear that its silent units can be told."""
        return index > 0 and isinstance(self.links[index - 1].module, nn.ReLU) and not self.noisy

    def _whitening(self, *, alone: bool) -> float:
        least = WHITENING if self.bends and not alone else LEAST_WHITENING
        return min(1.0, max(least, 1e4 * self.noise.relative if self.noisy else 0.0))

    def _count(self, index: int, known: Known) -> Count:
        module = self.links[index].module
        assert isinstance(module, nn.Conv2d)
        return count(Convolution(module, self.links[index].input_shape), known.slope, known.weight)

    def _stretch(self, bottom: int, top: int, known: Known) -> Stretch:
        links = self.links[bottom : top + 1]
        return Stretch(
            names=[link.name for link in links],
            modules=[link.module for link in links],
            known=known,
            gradients=self.gradients,
            whitening=self._whitening(alone=bottom == top and not self._is_behind_relu(top)),
            complete=not isinstance(links[-1].module, nn.Conv2d),
            gradient_noise=self.noise.gradient,
            output_noise=self.noise.features,
        )

    def _report(self, bottom: int, top: int, step: Step) -> None:
        """One entry for each convolution of a solved stretch, top to bottom."""
        names = [link.name for link in self.links[bottom : top + 1] if isinstance(link.module, nn.Conv2d)]
        known = step.point.stretch.known
        slope = known.slope
        for position in reversed(range(bottom, top + 1)):
            piece = step.point.pieces[position - bottom]
            if isinstance(piece, ConvolutionPiece):
                own = count(piece.operator, slope, known.weight if position == top else slope)
                self.layers[self.links[position].name] = LayerRecovery(
                    name=self.links[position].name,
                    kind=describe(piece.operator.layer),
                    unknowns=own.unknowns,
                    weight_equations=own.weight_equations,
                    forward_equations=own.forward_equations,
                    rank=own.rank,
                    condition=step.condition,
                    residual=step.residual,
                    iterations=step.iterations,
                    joint=tuple(names) if len(names) > 1 else (),
                    features=piece.input.detach().double(),
                )
            slope = piece.cotangent(slope)

    def _settle(self, level: Level) -> Iterator[Progress]:
        """Joint solves down to the picture, from the provisional picture on.

        From the lowest exact layer first; where that stalls, from the layers above it.
        """
        telling = [(top, known) for top, known in reversed(self.anchors) if self._tells(top, known, 0)]
        picture = level.values
        for top, known in telling:
            stretch = self._stretch(0, top, known).to(JOINT_PRECISION)
            told = known.hidden is not None
            for step in solve(stretch, picture.to(JOINT_PRECISION), JOINT, suspicious=told):
                self._report(0, top, step)
                picture = step.point.values
                yield self._progress(replace(level, values=picture.double(), exact=step.residual <= SOLVED))
                if step.residual <= JOINT.exact:
                    return
            if stretch.at(picture.to(JOINT_PRECISION)).relative_residual <= max(SOLVED, WITHIN_NOISE * self.noise.relative):
                return


def _known(level: Level) -> Known:
    """What a convolution's output tells; a unit in doubt is not trusted, nor is the gradient at its position."""
    if level.doubtful is None:
        return Known(level.values, level.weight, level.slope)
    hidden = level.doubtful.any(1)[0]
    return Known(level.values, level.weight * ~hidden, level.slope, hidden)


def _undo_batch_norm(module: nn.BatchNorm2d, level: Level) -> Level:
    """Undo y = scale x + shift with the stored statistics; channels scaled by zero tell nothing."""
    zeros = torch.zeros_like(level.values)
    shift = module(zeros)
    scale = module(zeros + 1) - shift
    alive = scale.abs() > 1e-12
    values = torch.where(alive, (level.values - shift) / torch.where(alive, scale, 1.0), 0.0).detach()
    return replace(level, values=values, weight=level.weight * alive, slope=(level.slope * scale).detach())


def _last(steps: Iterator[Step]) -> Step | None:
    step = None
    for step in steps:  # noqa: B007  (the last one is wanted)
        pass
    return step


def _size(shape: tuple[int, ...]) -> int:
    return shape[1] * shape[2] * shape[3]
