"""Gradient matching: guess a picture, compare what it would send, move it until both agree."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Annotated

from lab.late import torch

from lab.attacks.base import Attack
from lab.attacks.nearest import Nearest
from lab.attacks.plateau import Plateau
from lab.attacks.search import Search
from lab.attacks.sent_entries import SentEntries
from lab.attacks.surrogate import Surrogate
from lab.distances.balanced_cosine import BalancedCosine
from lab.distances.base import Distance
from lab.distances.cosine import Cosine
from lab.distances.soft_signs import SoftSigns
from lab.distances.top_heavy_cosine import TopHeavyCosine
from lab.errors import LabError
from lab.gradients import ExactMatcher, Matcher
from lab.labels import counting_note
from lab.optimisers.base import Optimiser
from lab.optimisers.lbfgs import LBFGS
from lab.optimisers.normalised_adam import NormalisedAdam
from lab.options import AtMost, Bounds, Help
from lab.priors.base import Prior
from lab.priors.total_variation import TotalVariation
from lab.types import AttackState, Images, Observation, Outcome
from lab.update_reading import Reading, Trace, read_update

ANNEALING_HELP = (
    "deviation of the noise on the candidate whose update is compared; it fades away before the budget ends, and blurs "
    "the sharp choices of ReLUs and max-poolings until then; 0 adds none"
)
LOCAL_STEPS_HELP = (
    "take the client's local steps for a single one in the middle of its way, set right now and then (surrogate), or "
    "differentiate through each of them at every step of the attack (simulated), as the paper does, for many times the work"
)
NOT_PROVED = (
    "The frozen derivative does not prove right for this network: something in it is random, or bends in a way that no layer "
    "of its own shows; take derivative = exact or auto."
)
SLOWER = "The fast derivative does not prove right for this network, so each step differentiated twice: slower, and as good."
PATIENCE_HELP = (
    "end an attempt once the distance has not fallen by 1 % in so many steps; 0 never does, which suits steps that "
    "shrink along the budget: they bring the fall back"
)
READING_HELP = (
    "let the update say what was done to it (signs, pruning, noise): then what was sent is compared, under a smoothness that "
    "suits; a smoothness that was chosen stays, and all with it"
)
SMOOTHNESS = (TotalVariation(weight=0.7, fade=0.06),)
"""For exact gradients: at the end nearly nothing."""
SMOOTHNESS_OF_SIGNS = (TotalVariation(weight=0.7, fade=0.3),)
SMOOTHNESS_OF_NOISE = TotalVariation(weight=3.0, fade=0.2)
"""At noise as long as the gradient; of less, so much less is added to the usual."""


def _even(distance: Distance) -> Distance:
    """Under equal noise on every number each is to be heard alike: no layer leads, none is lifted to the others' length."""
    return Cosine() if isinstance(distance, BalancedCosine) else distance


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
class GradientMatching(Attack):
    """Minimise D(g(x), g*) + alpha R(x) over the picture x (Geiping et al. 2020, equation 4).

    The defaults are this lab's own schedule: grey start, the top-heavy cosine, normalised Adam with
    cosine decay on all scales at once, total variation weighed against the match, less and less.
    """

    distance: Annotated[Distance, Help("how two updates are compared: the loss of the attack")] = TopHeavyCosine()
    priors: Annotated[tuple[Prior, ...], AtMost(64), Help("what a natural picture looks like")] = SMOOTHNESS
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

    def reconstruct(
        self, observation: Observation, generator: torch.Generator, first: Images | None = None
    ) -> Iterator[AttackState]:
        """States of every restart one after another; the last state is the one of all whose update came nearest to the shared.

        What the server sees to be better is kept, a handed-over start too. The distance alone chooses, which priors do not
        enter: on 20 pictures that gains or loses nothing on average against the last state (benchmarks/README.md).

        ``first`` is where the first restart begins, in place of the start chosen in the options.
        """
        read = read_update(observation) if self.reading and self.priors == SMOOTHNESS else Reading(Trace.PLAIN)
        attack = self.suited_to(read)
        several = self.local_steps is Steps.SURROGATE and observation.local_steps > 1
        surrogate = Surrogate(observation) if several else None
        matcher = attack._matcher(surrogate.observation, lean=True) if surrogate else attack._matcher(observation)
        finals: list[Nearest] = []
        for restart in range(self.restarts):
            noise = self.start is Start.NOISE or restart > 0
            start = None if restart else first
            search = Search(attack, observation, matcher, generator, noise=noise, first=start, surrogate=surrogate)
            nearest = yield from self._attempt(search, restart, plain=read.trace is Trace.PLAIN)
            finals.append(nearest)
        best = min(finals, key=lambda nearest: nearest.ranking)
        note = " ".join(filter(None, (read.sentence, best.note, counting_note(observation), self._note(matcher))))
        outcome = best.state.outcome or Outcome.BUDGET_SPENT
        yield replace(best.state, iteration=finals[-1].state.iteration, outcome=outcome, note=note)

    def suited_to(self, read: Reading) -> GradientMatching:
        """The same attack as suits an update that was read so."""
        if read.trace is Trace.SIGNS:
            return replace(self, distance=SoftSigns(), priors=SMOOTHNESS_OF_SIGNS)
        if read.trace is Trace.SPARSE:
            return replace(self, distance=SentEntries(self.distance))
        if read.trace is Trace.NOISE:
            (usual,), most, share = SMOOTHNESS, SMOOTHNESS_OF_NOISE, min(1.0, read.amount)
            weight, fade = (a + (b - a) * share for a, b in ((usual.weight, most.weight), (usual.fade, most.fade)))
            return replace(self, distance=_even(self.distance), priors=(TotalVariation(weight=weight, fade=fade),))
        return self

    def _matcher(self, observation: Observation, *, lean: bool = False) -> Matcher:
        """The fast route where it is proved right for the network and the optimiser needs no more than its four digits.

        ``lean`` where a copy of the weights is in memory already.
        """
        from lab.frozen_matcher import FrozenMatcher
        from lab.frozen_proof import can_freeze

        network, shared = observation.network, observation.update
        if self.wants_frozen():
            if can_freeze(observation):
                steps = observation.protocol.steps(observation.batch_size)
                return FrozenMatcher(network, steps, self.distance, shared, lean=lean)
            if self.derivative is Derivative.FROZEN:
                raise LabError(NOT_PROVED)
        return ExactMatcher(partial(observation.protocol.update, network, differentiable=True), self.distance, shared)

    def wants_frozen(self) -> bool:
        """Whether the derivative is a finite difference with frozen kinks, where the network is proved to allow it."""
        return self.derivative is Derivative.FROZEN or self._bears_rounding()

    def _bears_rounding(self) -> bool:
        return self.derivative is Derivative.AUTO and not isinstance(self.optimiser, LBFGS)

    def _note(self, matcher: Matcher) -> str:
        """That the fast route was wanted and not taken."""
        return SLOWER if self._bears_rounding() and isinstance(matcher, ExactMatcher) else ""

    def _attempt(self, search: Search, restart: int, *, plain: bool) -> Generator[AttackState, None, Nearest]:
        """One restart: evaluate x_k, report it, step to x_k+1. Returns the state that came nearest to what was shared.

        Where that is not ``plain`` numbers, coming nearest is fitting noise: only a handed-over start and the last count.
        """
        nearest, iteration, plateau = None, 0, Plateau(self.patience)
        while True:
            search.set_right(iteration)
            state = self._state(search, restart, iteration)
            if not math.isfinite(state.objective):
                outcome = Outcome.NEVER_FINITE if nearest is None else Outcome.NOT_FINITE
                return (nearest or Nearest(state)).ended(state.iteration, outcome)
            if search.is_told_nothing:
                return Nearest(state).ended(state.iteration, Outcome.SILENT)
            yield state
            flat = plateau.reached(state.terms["distance"])
            ends = flat or iteration == self.iterations
            wanted = ends or (iteration == 0 and search.is_handed_over)
            distance = search.distance(state.terms, wanted=wanted) if plain or wanted else math.inf
            if nearest is None or distance <= nearest.distance:
                nearest = Nearest(state, distance, search.note)
            if ends:
                return nearest.ended(state.iteration, Outcome.CONVERGED if flat else None)
            search.step()
            iteration += 1

    def _state(self, search: Search, restart: int, iteration: int) -> AttackState:
        objective, terms = search.evaluate(iteration / self.iterations)
        return AttackState(
            iteration=restart * self.iterations + iteration,
            iterations=self.restarts * self.iterations,
            candidate=search.pixels.detach().clone(),
            objective=objective,
            terms=terms,
            restart=restart,
            labels=search.labels(),
        )
