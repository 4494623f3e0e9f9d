"""Attacks ready to use: those that papers ran, in this lab's units, and this lab's own for smooth networks."""

from __future__ import annotations

from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.distances.balanced_cosine import BalancedCosine
from lab.attacks.matching.distances.cosine import Cosine
from lab.attacks.matching.distances.euclidean import Euclidean
from lab.attacks.matching.optimisers.adam import Adam
from lab.attacks.matching.optimisers.base import Schedule
from lab.attacks.matching.optimisers.lbfgs import LBFGS
from lab.attacks.matching.optimisers.signed_adam import SignedAdam
from lab.attacks.matching.priors.total_variation import TotalVariation
from lab.attacks.matching.settings import Start, Steps

PIXELS_PER_NORMALISED_UNIT = 0.25
"""The paper's code optimises (pixel - mean) / std with std about 0.25 on CIFAR-10; this lab optimises pixels.

A step of s there is a step of 0.25 s here. Total variation is 0.25 times as large here, so a
weight alpha there is alpha / 0.25 here. The cosine does not change.
"""


def geiping2020_attack(iterations: int, step: float, total_variation: float, restarts: int = 1) -> GradientMatching:
    """The paper's attack from its settings in normalised units: noise start, signed Adam, step decay, box, each local step."""
    prior = TotalVariation(weight=total_variation / PIXELS_PER_NORMALISED_UNIT, relative=False)
    return GradientMatching(
        distance=Cosine(),
        priors=(prior,),
        optimiser=SignedAdam(step=step * PIXELS_PER_NORMALISED_UNIT, schedule=Schedule.STEPS),
        iterations=iterations,
        restarts=restarts,
        start=Start.NOISE,
        coarse_to_fine=False,
        boxed=True,
        local_steps=Steps.SIMULATED,
    )


def zhu2019_attack(iterations: int) -> GradientMatching:
    """Deep Leakage from Gradients: squared Euclidean distance and L-BFGS from noise, no prior and no box."""
    return GradientMatching(
        distance=Euclidean(),
        priors=(),
        optimiser=LBFGS(history=100),
        iterations=iterations,
        start=Start.NOISE,
        coarse_to_fine=False,
        boxed=False,
        local_steps=Steps.SIMULATED,
    )


def smooth_network_attack(iterations: int) -> GradientMatching:
    """For sigmoid, tanh, SiLU, GELU and ELU: Adam on the gradient itself and little smoothing: there are no kinks to jump."""
    prior = TotalVariation(weight=0.3, fade=0.01)
    return GradientMatching(BalancedCosine(), priors=(prior,), optimiser=Adam(step=0.03), iterations=iterations)
