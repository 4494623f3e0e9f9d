"""Gradient matching: guess a picture, compare what it would send, move it until both agree."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, fields, replace

from lab.lazy import torch

from lab.attacks.base import AttackState, with_note
from lab.attacks.labels.llg import counting_note
from lab.attacks.matching.adaptation import adapted
from lab.attacks.matching.batch_norm_statistics import with_statistics
from lab.attacks.matching.best_state import BestState
from lab.attacks.matching.deduction import deduce
from lab.attacks.matching.defence_detection import DetectedDefence, Detection, detect_defence
from lab.attacks.matching.matcher_choice import MatcherChoice, choose_matcher
from lab.attacks.matching.outcomes import MatchingOutcome
from lab.attacks.matching.plateau import Plateau
from lab.attacks.matching.protocol_inference import infer_protocol
from lab.attacks.matching.search import Search
from lab.attacks.matching.settings import DEFAULT_PRIORS, Matching, Start
from lab.errors import LabError
from lab.federated.inputs import detached
from lab.federated.observation import Observation
from lab.federated.tensors import Inputs
from lab.modalities.base import modality_of


@dataclass(frozen=True)
class GradientMatching(Matching):
    """Minimise D(g(x), g*) + alpha R(x) over the picture x (Geiping et al. 2020, equation 4).

    The defaults are this lab's own schedule: grey start, the top-heavy cosine, normalised Adam with
    cosine decay on all scales at once, total variation weighed against the match, less and less.
    """

    @classmethod
    def of(cls, attack: Matching) -> GradientMatching:
        """With the settings of another kind of matching."""
        return cls(**{field.name: getattr(attack, field.name) for field in fields(Matching)})

    def reconstruct(
        self, observation: Observation, generator: torch.Generator, first: Inputs | None = None
    ) -> Iterator[AttackState]:
        """States of every restart one after another; the last state is the one of all whose update came nearest to the shared.

        What the server sees to be better is kept, a handed-over start too. The distance alone chooses, which priors do not
        enter: on 20 pictures that gains or loses nothing on average against the last state (benchmarks/README.md).

        ``first`` is where the first restart begins, in place of the start chosen in the options. The usual prior is left out
        where other inputs than pictures are sought; one that somebody chose is refused there.
        """
        if self.priors == DEFAULT_PRIORS and not self._suits(observation):
            yield from replace(self, priors=()).reconstruct(observation, generator, first)
            return
        self._check_priors(observation)
        if not self.reading and observation.protocol is not observation.protocol.naive:
            observation = replace(observation, protocol=observation.protocol.naive)
        if len(observation.protocol.guesses()) > 1:
            yield from self._after_inference(observation, generator, first)
        elif self.reading and (deduced := deduce(observation)) is not None:
            yield from with_note(deduced.sentence, self.reconstruct(deduced.observation, generator, first))
        else:
            yield from self._restarts(observation, generator, first)

    def _restarts(self, observation: Observation, generator: torch.Generator, first: Inputs | None) -> Iterator[AttackState]:
        """Every attempt, then the best of their last states."""
        detected = self._detect(observation)
        attack, statistics_note = with_statistics(adapted(self, detected), observation) if self.reading else (self, "")
        choice = choose_matcher(attack, observation)
        finals: list[BestState] = []
        for restart in range(self.restarts):
            search = attack._start(observation, choice, generator, restart, first)
            finals.append((yield from self._attempt(search, restart, plain=detected.trace is DetectedDefence.PLAIN)))
        best = min(finals, key=lambda final: final.ranking)
        notes = (detected.sentence, statistics_note, best.note, counting_note(observation), choice.note)
        outcome = best.state.outcome or MatchingOutcome.BUDGET_SPENT
        yield replace(best.state, iteration=finals[-1].state.iteration, outcome=outcome, note=" ".join(filter(None, notes)))

    def _detect(self, observation: Observation) -> Detection:
        """What was done to the update, where the server looks and no prior was chosen by hand."""
        looks = self.reading and self.priors == DEFAULT_PRIORS
        return detect_defence(observation) if looks else Detection(DetectedDefence.PLAIN)

    def _start(
        self, observation: Observation, choice: MatcherChoice, generator: torch.Generator, restart: int, first: Inputs | None
    ) -> Search:
        """x_0 of an attempt: what was handed over, grey, or noise; restarts after the first always begin with noise."""
        noise, start = self.start is Start.NOISE or restart > 0, None if restart else first
        return Search(self, observation, choice.matcher, generator, noise=noise, start=start, surrogate=choice.surrogate)

    def _after_inference(
        self, observation: Observation, generator: torch.Generator, first: Inputs | None
    ) -> Iterator[AttackState]:
        """States of the short attempts by which what was not told is inferred, then those of the attack."""
        told, tried, sentence = yield from infer_protocol(self, observation, generator)
        yield from with_note(sentence, (state.counted_on(tried) for state in self.reconstruct(told, generator, first)))

    def _suits(self, observation: Observation) -> bool:
        return all(prior.modality == observation.modality for prior in self.priors)

    def _check_priors(self, observation: Observation) -> None:
        """Raise ``LabError`` for a prior that knows other inputs than those sought."""
        for prior in self.priors:
            if prior.modality != observation.modality:
                wanted = modality_of(observation.modality).many
                raise LabError(
                    f"The prior {prior.name} knows how {modality_of(prior.modality).many} look, and {wanted} are sought; "
                    "leave it out."
                )

    def _attempt(self, search: Search, restart: int, *, plain: bool) -> Generator[AttackState, None, BestState]:
        """One restart: evaluate x_k, report it, step to x_k+1. Returns the state that came nearest to what was shared.

        Where that is not ``plain`` numbers, coming nearest is fitting noise: only a handed-over start and the last count.
        """
        nearest, iteration, plateau = None, 0, Plateau(self.patience)
        while True:
            search.correct(iteration)
            state = self._state(search, restart, iteration)
            if not math.isfinite(state.objective):
                outcome = MatchingOutcome.NEVER_FINITE if nearest is None else MatchingOutcome.NOT_FINITE
                return (nearest or BestState(state)).ended(state.iteration, outcome)
            if search.is_all_zero:
                return BestState(state).ended(state.iteration, MatchingOutcome.SILENT)
            yield state
            flat = plateau.reached(state.terms["distance"])
            ends = flat or iteration == self.iterations
            wanted = ends or (iteration == 0 and search.is_warm_start)
            distance = search.distance(state.terms, wanted=wanted) if plain or wanted else math.inf
            if nearest is None or distance <= nearest.distance:
                nearest = BestState(state, distance, search.note)
            if ends:
                return nearest.ended(state.iteration, MatchingOutcome.CONVERGED if flat else None)
            search.step()
            iteration += 1

    def _state(self, search: Search, restart: int, iteration: int) -> AttackState:
        objective, terms = search.evaluate(iteration / self.iterations)
        return AttackState(
            iteration=restart * self.iterations + iteration,
            iterations=self.restarts * self.iterations,
            candidate=detached(search.candidate),
            objective=objective,
            terms=terms,
            restart=restart,
            labels=search.labels(),
        )
