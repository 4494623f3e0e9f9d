"""What gradient matching may be told: the settings that every attack shares that searches for a matching picture."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated

from lab.attacks.base import Attack
from lab.attacks.matching.distances.base import Distance
from lab.attacks.matching.distances.top_heavy_cosine import TopHeavyCosine
from lab.attacks.matching.optimisers.base import Optimiser
from lab.attacks.matching.optimisers.lbfgs import LBFGS
from lab.attacks.matching.optimisers.normalised_adam import NormalisedAdam
from lab.attacks.matching.priors.base import Prior
from lab.attacks.matching.priors.total_variation import TotalVariation
from lab.options.fields import AtMost, Bounds, Help

ANNEALING_HELP = (
    "deviation of the noise on the candidate whose update is compared; it fades away before the budget ends, and blurs "
    "the sharp choices of ReLUs and max-poolings until then; 0 adds none"
)
LOCAL_STEPS_HELP = (
    "take the client's local steps for a single one in the middle of its way, set right now and then (surrogate), or "
    "differentiate through each of them at every step of the attack (simulated), as the paper does, for many times the work"
)
PATIENCE_HELP = (
    "end an attempt once the distance has not fallen by 1 % in so many steps; 0 never does, which suits steps that "
    "shrink along the budget: they bring the fall back"
)
READING_HELP = (
    "let the update say what was done to it (signs, pruning, noise, dropout): then what was sent is compared, under a "
    "smoothness that suits; a smoothness that was chosen stays, and all with it"
)
DEFAULT_PRIORS = (TotalVariation(weight=0.7, fade=0.06),)
"""For exact gradients: at the end nearly nothing."""


class Start(Enum):
    """The first candidate."""

    GREY = "grey"
    NOISE = "noise"


class Steps(Enum):
    """How a candidate is given the client's local steps."""

    SURROGATE = "surrogate"
    SIMULATED = "simulated"


class Derivative(Enum):
    """How d/dx D(g(x), g*) is computed."""

    AUTO = "auto"
    EXACT = "exact"
    FROZEN = "frozen"


@dataclass(frozen=True)
class Matching(Attack):
    """Base of the attacks that minimise D(g(x), g*) + alpha R(x) over the input x (Geiping et al. 2020, equation 4)."""

    distance: Annotated[Distance, Help("how two updates are compared: the loss of the attack")] = TopHeavyCosine()
    priors: Annotated[tuple[Prior, ...], AtMost(64), Help("what a natural picture looks like")] = DEFAULT_PRIORS
    optimiser: Annotated[Optimiser, Help("what moves the candidate")] = NormalisedAdam(step=0.04)
    iterations: Annotated[int, Bounds(1, 100_000, log=True), Help("steps of the attack", "steps")] = 200
    restarts: Annotated[int, Bounds(1, 100), Help("attempts from different starts; the lowest distance wins")] = 1
    start: Annotated[Start, Help("the first candidate; restarts after the first always begin with noise")] = Start.GREY
    coarse_to_fine: Annotated[bool, Help("move broad shapes and pixels together, from 4x4 grids to all pixels")] = True
    local_steps: Annotated[Steps, Help(LOCAL_STEPS_HELP)] = Steps.SURROGATE
    derivative: Annotated[
        Derivative, Help("double backward (exact), a finite difference with frozen kinks (frozen), or what is faster (auto)")
    ] = Derivative.AUTO
    boxed: Annotated[bool, Help("keep pixels in [0, 1] after each step")] = True
    annealing: Annotated[float, Bounds(0.0, 1.0), Help(ANNEALING_HELP, "pixel range")] = 0.0
    patience: Annotated[int, Bounds(0, 1000), Help(PATIENCE_HELP, "steps")] = 0
    reading: Annotated[bool, Help(READING_HELP)] = True

    def wants_frozen(self) -> bool:
        """Whether the derivative is a finite difference with frozen kinks, where it is verified that the network allows it."""
        return self.derivative is Derivative.FROZEN or self.tolerates_rounding()

    def tolerates_rounding(self) -> bool:
        """Whether the optimiser needs no more than the four digits of a fast derivative."""
        return self.derivative is Derivative.AUTO and not isinstance(self.optimiser, LBFGS)
