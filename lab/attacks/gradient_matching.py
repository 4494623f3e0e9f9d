"""Gradient matching: guess a picture, compare what it would send, move it until both agree."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, fields, replace

from lab.lazy import torch

from lab.attacks.base import AttackState, with_note
from lab.attacks.labels.llg import counting_note, multi_labels, multi_labels_note
from lab.attacks.matching.batch_norm_statistics import held_to_statistics
from lab.attacks.matching.defence_detection import DetectedDefence, Detection, detect_defence
from lab.attacks.matching.distances.balanced_cosine import BalancedCosine
from lab.attacks.matching.distances.base import Distance
from lab.attacks.matching.distances.cosine import Cosine
from lab.attacks.matching.distances.soft_signs import SoftSigns
from lab.attacks.matching.guessing import guess_steps
from lab.attacks.matching.known import Known
from lab.attacks.matching.nearest import Nearest
from lab.attacks.matching.outcomes import MatchingOutcome
from lab.attacks.matching.plateau import Plateau
from lab.attacks.matching.priors.total_variation import TotalVariation
from lab.attacks.matching.route import Route, route
from lab.attacks.matching.search import Search
from lab.attacks.matching.sent_directions import SentDirections
from lab.attacks.matching.sent_entries import SentEntries
from lab.attacks.matching.settings import SMOOTHNESS, Matching, Start
from lab.errors import LabError
from lab.federated.inputs import kept
from lab.federated.observation import LabelSource, Observation
from lab.federated.tensors import IMAGES, Inputs
from lab.federated.update_names import spoken_names
from lab.modalities.base import modality_of

LEFT_OUT = "A defence leaves out gradients of {names}, so the other layers are compared."
SMOOTHNESS_OF_SIGNS = (TotalVariation(weight=0.7, fade=0.3),)
SMOOTHNESS_OF_FEW = (TotalVariation(weight=1.5, fade=0.3),)
"""Where few values or directions were sent."""
SMOOTHNESS_OF_NOISE = TotalVariation(weight=1.0, fade=1.0)
"""At noise as long as the gradient, to the end: what is left out later comes back as noise. Of less, so much less is added."""


def _even(distance: Distance) -> Distance:
    """Where every number is equally far off each is to be heard alike: no layer leads, none is lifted to the others' length."""
    return Cosine() if isinstance(distance, BalancedCosine) else distance


def _known(observation: Observation) -> Known | None:
    """What is told next of what a client drew by chance, or leaves out; None where all of it is known."""
    from lab.attacks.matching.drawn_code import read_code  # imported here: they need torch
    from lab.attacks.matching.dropped_features import read_dropped

    return read_code(observation) or _left_out(observation) or read_dropped(observation) or _several_labels(observation)


def _several_labels(observation: Observation) -> Known | None:
    """The client as one whose picture's labels were told, where the update shows that they are none or several."""
    asked = observation.label_source is LabelSource.INFERRED and observation.modality == IMAGES
    row = multi_labels(observation) if asked else None
    if row is None:
        return None
    return Known(replace(observation, labels=row, label_source=LabelSource.KNOWN), multi_labels_note(row))


def _left_out(observation: Observation) -> Known | None:
    """The client without the layers of which a defence, whose code the server knows, leaves a part out."""
    if not observation.withheld:
        return None
    return Known(observation.without_withheld(), LEFT_OUT.format(names=spoken_names(observation.withheld)))


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
        if self.priors == SMOOTHNESS and not self._suits(observation):
            yield from replace(self, priors=()).reconstruct(observation, generator, first)
            return
        self._check_priors(observation)
        if not self.reading and observation.protocol is not observation.protocol.naive:
            observation = replace(observation, protocol=observation.protocol.naive)
        if len(observation.protocol.guesses()) > 1:
            yield from self._after_guessing(observation, generator, first)
            return
        known = _known(observation) if self.reading else None
        if known is not None:
            yield from with_note(known.sentence, self.reconstruct(known.observation, generator, first))
            return
        read = detect_defence(observation) if self.reading and self.priors == SMOOTHNESS else Detection(DetectedDefence.PLAIN)
        attack, held = held_to_statistics(self.suited_to(read), observation) if self.reading else (self, "")
        way = route(attack, observation)
        finals: list[Nearest] = []
        for restart in range(self.restarts):
            search = attack._start(observation, way, generator, restart, first)
            finals.append((yield from self._attempt(search, restart, plain=read.trace is DetectedDefence.PLAIN)))
        best = min(finals, key=lambda nearest: nearest.ranking)
        note = " ".join(filter(None, (read.sentence, held, best.note, counting_note(observation), way.note)))
        outcome = best.state.outcome or MatchingOutcome.BUDGET_SPENT
        yield replace(best.state, iteration=finals[-1].state.iteration, outcome=outcome, note=note)

    def _start(
        self, observation: Observation, way: Route, generator: torch.Generator, restart: int, first: Inputs | None
    ) -> Search:
        """x_0 of an attempt: what was handed over, grey, or noise; restarts after the first always begin with noise."""
        noise, start = self.start is Start.NOISE or restart > 0, None if restart else first
        return Search(self, observation, way.matcher, generator, noise=noise, start=start, surrogate=way.surrogate)

    def _after_guessing(
        self, observation: Observation, generator: torch.Generator, first: Inputs | None
    ) -> Iterator[AttackState]:
        """States of the short attempts by which what was not told is guessed, then those of the attack."""
        told, tried, sentence = yield from guess_steps(self, observation, generator)
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

    def suited_to(self, read: Detection) -> GradientMatching:
        """The same attack as suits an update that was read so."""
        if read.trace is DetectedDefence.SIGNS:
            return replace(self, distance=SoftSigns(), priors=SMOOTHNESS_OF_SIGNS)
        if read.trace is DetectedDefence.SPARSE:
            return replace(self, distance=SentEntries(self.distance))
        if read.trace is DetectedDefence.LOW_RANK:
            return replace(self, distance=SentDirections(self.distance), priors=SMOOTHNESS_OF_FEW)
        if read.trace is DetectedDefence.GRID:
            return replace(self, distance=_even(self.distance), priors=SMOOTHNESS_OF_FEW)
        if read.trace is DetectedDefence.NOISE:
            (usual,), most, share = SMOOTHNESS, SMOOTHNESS_OF_NOISE, min(1.0, read.amount)
            weight, fade = (a + (b - a) * share for a, b in ((usual.weight, most.weight), (usual.fade, most.fade)))
            return replace(self, distance=_even(self.distance), priors=(TotalVariation(weight=weight, fade=fade),))
        return self

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
