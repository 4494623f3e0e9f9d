"""Gradient matching: guess a picture, compare what it would send, move it until both agree."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial

from lab.late import torch

from lab.attacks.base import AttackState
from lab.attacks.derivative.matcher import ExactMatcher, Matcher
from lab.attacks.labels.llg import counting_note
from lab.attacks.matching.adaptive_steps import SoftStepsSurrogate
from lab.attacks.matching.distances.balanced_cosine import BalancedCosine
from lab.attacks.matching.distances.base import Distance
from lab.attacks.matching.distances.cosine import Cosine
from lab.attacks.matching.distances.soft_signs import SoftSigns
from lab.attacks.matching.guessing import guess_steps
from lab.attacks.matching.local_steps import LongStepSurrogate, Surrogate
from lab.attacks.matching.nearest import Nearest
from lab.attacks.matching.outcomes import MatchingOutcome
from lab.attacks.matching.plateau import Plateau
from lab.attacks.matching.priors.total_variation import TotalVariation
from lab.attacks.matching.search import Search
from lab.attacks.matching.sent_entries import SentEntries
from lab.attacks.matching.settings import SMOOTHNESS, Derivative, Matching, Start, Steps
from lab.attacks.matching.update_reading import Reading, Trace, read_update
from lab.errors import LabError
from lab.federated.gradients import LocalSteps
from lab.federated.inputs import kept
from lab.federated.observation import Observation
from lab.federated.tensors import Inputs
from lab.modalities.base import modality_of

NOT_PROVED = (
    "The frozen derivative does not prove right for this network: something in it is random, or bends in a way that no layer "
    "of its own shows; take derivative = exact or auto."
)
NOT_PLAIN = "The frozen derivative does not follow the steps of {name} one by one; take derivative = exact or auto."
SLOWER = "The fast derivative does not prove right for this network, so each step differentiated twice: slower, and as good."
SMOOTHNESS_OF_SIGNS = (TotalVariation(weight=0.7, fade=0.3),)
SMOOTHNESS_OF_NOISE = TotalVariation(weight=3.0, fade=0.2)
"""At noise as long as the gradient; of less, so much less is added to the usual."""


def _even(distance: Distance) -> Distance:
    """Under equal noise on every number each is to be heard alike: no layer leads, none is lifted to the others' length."""
    return Cosine() if isinstance(distance, BalancedCosine) else distance


@dataclass(frozen=True)
class GradientMatching(Matching):
    """Minimise D(g(x), g*) + alpha R(x) over the picture x (Geiping et al. 2020, equation 4).

    The defaults are this lab's own schedule: grey start, the top-heavy cosine, normalised Adam with
    cosine decay on all scales at once, total variation weighed against the match, less and less.
    """

    def reconstruct(
        self, observation: Observation, generator: torch.Generator, first: Inputs | None = None
    ) -> Iterator[AttackState]:
        """States of every restart one after another; the last state is the one of all whose update came nearest to the shared.

        What the server sees to be better is kept, a handed-over start too. The distance alone chooses, which priors do not
        enter: on 20 pictures that gains or loses nothing on average against the last state (benchmarks/README.md).

        ``first`` is where the first restart begins, in place of the start chosen in the options.
        """
        self._check_priors(observation)
        if len(observation.protocol.guesses()) > 1:
            yield from self._after_guessing(observation, generator, first)
            return
        read = read_update(observation) if self.reading and self.priors == SMOOTHNESS else Reading(Trace.PLAIN)
        attack = self.suited_to(read)
        surrogate = self._surrogate(observation)
        matcher = attack._matcher(observation) if surrogate is None else attack._matcher_of(surrogate)
        finals: list[Nearest] = []
        for restart in range(self.restarts):
            noise = self.start is Start.NOISE or restart > 0
            start = None if restart else first
            search = Search(attack, observation, matcher, generator, noise=noise, start=start, surrogate=surrogate)
            nearest = yield from self._attempt(search, restart, plain=read.trace is Trace.PLAIN)
            finals.append(nearest)
        best = min(finals, key=lambda nearest: nearest.ranking)
        note = " ".join(filter(None, (read.sentence, best.note, counting_note(observation), self._note(observation, matcher))))
        outcome = best.state.outcome or MatchingOutcome.BUDGET_SPENT
        yield replace(best.state, iteration=finals[-1].state.iteration, outcome=outcome, note=note)

    def _after_guessing(
        self, observation: Observation, generator: torch.Generator, first: Inputs | None
    ) -> Iterator[AttackState]:
        """States of the short attempts by which what was not told is guessed, then those of the attack."""
        told, tried, sentence = yield from guess_steps(self, observation, generator)
        for state in self.reconstruct(told, generator, first):
            counted = state.counted_on(tried)
            yield counted if state.outcome is None else replace(counted, note=f"{sentence} {state.note}".strip())

    def _check_priors(self, observation: Observation) -> None:
        """Raise ``LabError`` for a prior that knows other inputs than those sought."""
        for prior in self.priors:
            if prior.modality != observation.modality:
                wanted = modality_of(observation.modality).many
                raise LabError(
                    f"The prior {prior.name} knows how {modality_of(prior.modality).many} look, and {wanted} are sought; "
                    "leave it out."
                )

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

    def _surrogate(self, observation: Observation) -> Surrogate | None:
        """What stands for the client's steps, where they are not to be simulated and are more than a gradient."""
        steps = observation.protocol.steps(observation.batch_size)
        if self.local_steps is not Steps.SURROGATE or (len(steps.rows) == 1 and steps.optimiser.is_plain):
            return None
        return LongStepSurrogate(observation) if steps.optimiser.is_linear else SoftStepsSurrogate(observation)

    def _matcher_of(self, surrogate: Surrogate) -> Matcher:
        """That of its single step, or of its soft ones."""
        if isinstance(surrogate, LongStepSurrogate):
            return self._matcher(surrogate.observation, lean=True)
        assert isinstance(surrogate, SoftStepsSurrogate)
        self._refuse_frozen(surrogate.steps)
        return ExactMatcher(surrogate.update, self.distance, surrogate.client.update)

    def _refuse_frozen(self, steps: LocalSteps) -> None:
        """Raise ``LabError`` where the fast derivative is asked for of steps that it does not follow."""
        if self.derivative is Derivative.FROZEN:
            raise LabError(NOT_PLAIN.format(name=steps.optimiser.name))

    def _matcher(self, observation: Observation, *, lean: bool = False) -> Matcher:
        """The fast route where it is proved right for the network and the optimiser needs no more than its four digits.

        ``lean`` where a copy of the weights is in memory already.
        """
        from lab.attacks.derivative.frozen_matcher import FrozenMatcher
        from lab.attacks.derivative.frozen_proof import can_freeze

        network, shared = observation.network, observation.update
        steps = observation.protocol.steps(observation.batch_size)
        if not steps.optimiser.is_plain:
            self._refuse_frozen(steps)
        elif self.wants_frozen():
            if can_freeze(observation):
                return FrozenMatcher(network, steps, self.distance, shared, lean=lean)
            if self.derivative is Derivative.FROZEN:
                raise LabError(NOT_PROVED)
        return ExactMatcher(partial(observation.protocol.update, network, differentiable=True), self.distance, shared)

    def _note(self, observation: Observation, matcher: Matcher) -> str:
        """That the fast route was wanted and not taken; of steps that it does not follow it never is."""
        optimiser = observation.protocol.steps(observation.batch_size).optimiser
        followed = optimiser.is_plain or (optimiser.is_linear and self.local_steps is Steps.SURROGATE)
        return SLOWER if followed and self.bears_rounding() and isinstance(matcher, ExactMatcher) else ""

    def _attempt(self, search: Search, restart: int, *, plain: bool) -> Generator[AttackState, None, Nearest]:
        """One restart: evaluate x_k, report it, step to x_k+1. Returns the state that came nearest to what was shared.

        Where that is not ``plain`` numbers, coming nearest is fitting noise: only a handed-over start and the last count.
        """
        nearest, iteration, plateau = None, 0, Plateau(self.patience)
        while True:
            search.correct(iteration)
            state = self._state(search, restart, iteration)
            if not math.isfinite(state.objective):
                outcome = MatchingOutcome.NEVER_FINITE if nearest is None else MatchingOutcome.NOT_FINITE
                return (nearest or Nearest(state)).ended(state.iteration, outcome)
            if search.is_all_zero:
                return Nearest(state).ended(state.iteration, MatchingOutcome.SILENT)
            yield state
            flat = plateau.reached(state.terms["distance"])
            ends = flat or iteration == self.iterations
            wanted = ends or (iteration == 0 and search.is_warm_start)
            distance = search.distance(state.terms, wanted=wanted) if plain or wanted else math.inf
            if nearest is None or distance <= nearest.distance:
                nearest = Nearest(state, distance, search.note)
            if ends:
                return nearest.ended(state.iteration, MatchingOutcome.CONVERGED if flat else None)
            search.step()
            iteration += 1

    def _state(self, search: Search, restart: int, iteration: int) -> AttackState:
        objective, terms = search.evaluate(iteration / self.iterations)
        return AttackState(
            iteration=restart * self.iterations + iteration,
            iterations=self.restarts * self.iterations,
            candidate=kept(search.candidate),
            objective=objective,
            terms=terms,
            restart=restart,
            labels=search.labels(),
        )
