"""Gradient matching with a head start: the closed form goes first, as far as it gets in a moment."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import torch

from lab.attacks.base import AttackState, final_state, with_note
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.best_state import update_distance
from lab.attacks.matching.settings import Matching
from lab.attacks.recursive import projected
from lab.federated.observation import Observation
from lab.federated.tensors import IMAGES, Images
from lab.options.fields import Help

if TYPE_CHECKING:
    from lab.attacks.closed_form.chain import Obstacle
    from lab.attacks.closed_form.inversion import Inversion

MAX_FIRST_RESIDUAL, MAX_RESIDUAL = 0.5, 0.3
"""Relative residual of the joint equations: up to which the first one is worth going on from, and up to
which the last one's picture is a better start than grey."""
MAX_JOINT_STEPS = 24
"""Joint steps down to the picture before matching begins; each costs about as much as ten of matching's."""
REFINING_STEP = 0.003
"""Matching's step after a head start, in units of the pixel range: a larger one destroys what was found."""


@dataclass(frozen=True)
class HeadStart(Matching):
    """Gradient matching that begins with the picture which the way down the layers gives in a few steps.

    A network's features, known in closed form (Proposition 3.1), and its layers' weight gradients
    tell shapes that matching from grey does not find, where it is trained or has skips; an untrained
    ResNet of 48 channels and more gives away the picture itself. Matching then moves by small steps.
    Where the way down is barred (batches, too few channels) or gives nothing believable, this is
    gradient matching from its own start.
    """

    modality: ClassVar[str] = IMAGES
    patient: Annotated[bool, Help("take the whole way down, not only its first steps: half a minute on a trained ResNet")] = (
        False
    )

    def without(self) -> GradientMatching:
        """The same matching from its own start."""
        return GradientMatching.of(self)

    def reconstruct(
        self, observation: Observation, generator: torch.Generator, first: Images | None = None
    ) -> Iterator[AttackState]:
        """States of the way down, then those of the matching; ``first`` replaces the head start."""
        from lab.attacks.closed_form.inversion import KEPT_WITHOUT_MATCHING, UNDERDETERMINED, Inversion, grey_state
        from lab.attacks.matching.dropped_features import detect_dropped
        from lab.attacks.matching.sampled_code import recover_code

        code = recover_code(observation) if self.reading else None
        if code is not None:
            yield from with_note(code.sentence, self.reconstruct(code.observation, generator, first))
            return
        if first is not None or (self.reading and detect_dropped(observation) is not None):  # the way down knows of no dropout
            yield from self.without().reconstruct(observation, generator, first)
            return
        inversion = Inversion(observation)
        closed_form = grey_state(observation)
        if (observation.batch_size == 1 or not inversion.links) and inversion.obstacle() is None:
            closed_form = yield from self._layer_by_layer(inversion, closed_form)
            verdict = inversion.verdict(closed_form)
            if verdict.outcome in KEPT_WITHOUT_MATCHING:
                yield final_state(observation, closed_form, verdict.outcome, verdict.note)
                return
            if verdict.outcome in UNDERDETERMINED:
                yield from self._match_projected(inversion, generator, closed_form, verdict)
                return
        yield from self._match(observation, generator, closed_form)

    def _match_projected(
        self, inversion: Inversion, generator: torch.Generator, closed_form: AttackState, verdict: Obstacle
    ) -> Iterator[AttackState]:
        """Matching from its own start, and at last the nearest picture that the equations allow."""
        for state in self.without().reconstruct(inversion.observation, generator):
            counted = state.after(closed_form)
            if state.outcome is None:
                yield counted
            else:
                found = projected(inversion, counted)
                found = found if inversion.is_underdetermined else self._nearer(inversion.observation, closed_form, found)
                yield replace(found, outcome=verdict.outcome, note=f"{verdict.note} {found.note}".strip())

    def _layer_by_layer(self, inversion: Inversion, grey: AttackState) -> Generator[AttackState, None, AttackState]:
        """A state a layer, then a state a joint step, while their residual or the picture's mismatch falls, or to the end.

        Returns the last picture, after the whole way the best one, grey where there is no hope; numbered as the last state was.
        """
        yield grey
        reached, last, taken = grey, grey, 0
        lowest = least = math.inf
        for step in inversion.invert(grey):
            if math.isfinite(step.objective):
                residual = step.terms.get("residual", step.objective)
                better = step.objective < least
                enough = not self.patient and (taken == MAX_JOINT_STEPS or not (better or residual < lowest))
                if enough or residual >= MAX_FIRST_RESIDUAL:
                    break
                lowest, least, taken = min(lowest, residual), min(least, step.objective), taken + 1
                reached = step if better or not self.patient else reached
            last = step
            yield step
        return replace(reached, iteration=last.iteration, iterations=last.iterations)

    def _match(self, observation: Observation, generator: torch.Generator, closed_form: AttackState) -> Iterator[AttackState]:
        """Matching from the closed-form picture where it is to be believed; its states count on from there."""
        believed = closed_form.terms.get("mismatch" if self.patient else "residual", math.inf) <= MAX_RESIDUAL
        matching = self.without()
        if believed:
            matching = replace(matching, optimiser=replace(self.optimiser, step=REFINING_STEP), coarse_to_fine=False)
        first = closed_form.images.clamp(0, 1) if believed else None
        for state in matching.reconstruct(observation, generator, first):
            found = state.after(closed_form)
            yield found if state.outcome is None else self._nearer(observation, closed_form, found)

    def _nearer(self, observation: Observation, closed_form: AttackState, matched: AttackState) -> AttackState:
        """The matched state, with the closed-form picture where that explains more."""
        if not math.isfinite(closed_form.objective):
            return matched
        before, after = (update_distance(self.distance, observation, state) for state in (closed_form, matched))
        if after <= before:
            return matched
        note = f"{matched.note} Matching brought the picture from the algebra no nearer to the shared update.".strip()
        return replace(matched, candidate=closed_form.images.clamp(0, 1), note=note)
