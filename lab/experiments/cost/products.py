"""The arithmetic of an experiment, counted in multiply-adds: a training step is three forward passes."""

from __future__ import annotations

import time
from functools import cache, singledispatch

import torch

from lab.attacks.analytic import Analytic
from lab.attacks.base import Attack
from lab.attacks.feature_span import FeatureSpan
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.graph.bounds import MAX_TYPES, ROUNDS, STARTS, STEPS
from lab.attacks.head_start import HeadStart
from lab.attacks.label_reading import LabelReading
from lab.attacks.matching.adaptive_steps import MAX_WEIGHTS
from lab.attacks.matching.local_steps import CORRECTIONS, STEPS_PER_ITERATION
from lab.attacks.matching.optimisers.lbfgs import LBFGS
from lab.attacks.matching.protocol_inference import TRIAL_STEPS
from lab.attacks.matching.settings import Derivative, Steps
from lab.attacks.neighbourhoods import Neighbourhoods
from lab.attacks.patch_embedding import PatchEmbedding
from lab.attacks.recursive import Recursive
from lab.attacks.soft_pooling import SoftPooling
from lab.attacks.span import Span
from lab.experiments.cost.memory import Sizes, server_sizes
from lab.experiments.experiment import Experiment

STEP = 3
FROZEN, EXACT = 5, 7
"""Forward passes that one look at a candidate is worth (``FrozenMatcher``), for each training step of the client's."""
FROZEN_AMONG_SEVERAL = 6
TRIALS = 2
"""Looks that a quasi-Newton step takes, mostly one."""
MEMORY_TRIP = 32
"""Products in the time that each weight costs a pass in trips through memory, its own and those of distance and update."""
LAYER_CALL = 2_500_000
"""Products in the time that each layer costs a pass before anything is multiplied."""
PER_ELEMENT = 8
"""Operations on each number of a layer that is read."""
PEAK_SHARE = 2 / 3
"""What layers make of the rate of plain matrices. With it, and the two above, ten networks of the catalogue took 0.5 to 2 times
the seconds said (one thread of a Xeon)."""
LAYERWISE_PASSES = 600
"""Forward passes, in double precision, of a way down through the layers: conjugate gradients, layer by layer."""
DOUBLE = 2
RATE_SIDE = 512
SVD_PRODUCTS = 30
"""Products that singular vectors take for each of a matrix product."""
USUAL_STEPS = {name: getattr(GradientMatching(), name) for name in ("iterations", "restarts")}
"""What an attack is taken to take that does not say it by these names."""


def round_products(sizes: Sizes) -> int:
    """The client's training."""
    return sizes.steps * _passes(STEP, sizes, sizes.rows)


def attack_products(experiment: Experiment, sizes: Sizes) -> int:
    """The whole attack; by each rule that the client may have stepped by, as long as it takes to tell."""
    taken = server_sizes(experiment, sizes.drawn)
    whole = max(_attack(experiment.attack, each) for each in taken)
    if len(taken) == 1:
        return whole
    trial = GradientMatching(iterations=TRIAL_STEPS)
    return whole + sum(_attack(trial, each) for each in taken)


@cache
def products_per_second() -> float:
    """What one thread of this machine makes of a network's products, told once by a few plain matrices that its cache holds."""
    one = torch.ones(RATE_SIDE, RATE_SIDE, dtype=torch.float32)
    spans: list[float] = []
    for _ in range(5):
        began = time.thread_time()
        torch.matmul(one, one)
        spans.append(time.thread_time() - began)
    return PEAK_SHARE * RATE_SIDE**3 / max(min(spans), 1e-9)


def _passes(count: int, sizes: Sizes, pictures: int) -> int:
    """So many forward passes of so many pictures, with what every call and every trip through the weights costs."""
    drawn = sizes.drawn
    return count * (pictures * drawn.products + len(drawn.layers) * LAYER_CALL + MEMORY_TRIP * drawn.weights)


@singledispatch
def _attack(attack: Attack, sizes: Sizes) -> int:
    """Of an attack that nobody has counted: the way down, and two looks a step, each differentiated twice."""
    iterations, restarts = (getattr(attack, name, usual) for name, usual in USUAL_STEPS.items())
    return _descent(sizes) + TRIALS * restarts * (iterations + 1) * sizes.steps * _passes(EXACT, sizes, sizes.rows)


@_attack.register
def _(attack: Analytic | LabelReading, sizes: Sizes) -> int:
    """A product as large as each layer that is read; of one without a bias, its singular vectors."""
    heads = [layer for layer in sizes.drawn.layers if layer.head]
    return sum(
        layer.weights * (PER_ELEMENT if layer.biased else PER_ELEMENT * min(layer.inputs, layer.outputs)) for layer in heads
    )


@_attack.register
def _(attack: GradientMatching, sizes: Sizes) -> int:
    looks = attack.restarts * (attack.iterations + 1) * (TRIALS if isinstance(attack.optimiser, LBFGS) else 1)
    frozen = attack.wants_frozen()
    if attack.local_steps is Steps.SURROGATE and not sizes.is_gradient:
        corrections = attack.restarts * min(CORRECTIONS, attack.iterations * STEPS_PER_ITERATION // sizes.steps)
        correction = round_products(sizes) + _passes(STEP, sizes, sizes.pictures)
        fast = frozen and sizes.optimiser.is_linear
        places = 1 if sizes.optimiser.is_linear else min(sizes.steps, MAX_WEIGHTS)
        return looks * places * _passes(FROZEN if fast else EXACT, sizes, sizes.pictures) + corrections * correction
    frozen = frozen and sizes.optimiser.is_plain
    each = EXACT if not frozen else FROZEN if sizes.steps == 1 else FROZEN_AMONG_SEVERAL
    return looks * sizes.steps * _passes(each, sizes, sizes.rows)


@_attack.register
def _(attack: HeadStart, sizes: Sizes) -> int:
    return _descent(sizes) + _attack(attack.without(), sizes)


@_attack.register
def _(attack: Recursive, sizes: Sizes) -> int:
    matching = GradientMatching(iterations=attack.iterations) if attack.hand_over else Analytic()
    return _descent(sizes) + _attack(matching, sizes)


@_attack.register
def _(attack: SoftPooling, sizes: Sizes) -> int:
    """Every step twice differentiated, through poolings that touch all units of their windows."""
    matching = GradientMatching(iterations=attack.iterations, restarts=attack.restarts, derivative=Derivative.EXACT)
    return _attack(Analytic(), sizes) + _attack(matching, sizes)


@_attack.register
def _(attack: PatchEmbedding, sizes: Sizes) -> int:
    """A solve far cheaper than a pass, and the picture's own training; matching of several, and of what rounding blurs."""
    matched = attack.hand_over and (sizes.pictures > 1 or not sizes.is_gradient)
    matching = GradientMatching(iterations=attack.iterations, derivative=Derivative.EXACT)
    return 2 * round_products(sizes) + (_attack(matching, sizes) if matched else 0)


@_attack.register
def _(attack: Span, sizes: Sizes) -> int:
    """Every word at every place onto a basis of at most the width, and back; two decompositions, and the words' own step."""
    checks = sum(layer.inputs // layer.words * layer.weights * 2 * layer.width for layer in sizes.drawn.layers if layer.words)
    spans = sum(2 * SVD_PRODUCTS * 3 * layer.width**3 for layer in sizes.drawn.layers if layer.words)
    return DOUBLE * (checks + spans) + round_products(sizes)


@_attack.register
def _(attack: Neighbourhoods, sizes: Sizes) -> int:
    """Every neighbourhood that may be listed passes its layer."""
    return MAX_TYPES * sum(layer.weights for layer in sizes.drawn.layers)


@_attack.register
def _(attack: FeatureSpan, sizes: Sizes) -> int:
    """Every step of every start: its slopes onto the span, of as many directions as there are nodes, and normal equations."""
    first = next(layer for layer in sizes.drawn.layers if layer.weights)
    return DOUBLE * STARTS * ROUNDS * STEPS * first.weights * (first.entering + 2 * first.inputs // first.entering)


def _descent(sizes: Sizes) -> int:
    return _attack(Analytic(), sizes) + _passes(LAYERWISE_PASSES * DOUBLE, sizes, sizes.pictures)
