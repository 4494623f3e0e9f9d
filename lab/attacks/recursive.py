"""The closed form carried down through the whole network: from the features that enter the head to the picture."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import torch

from lab.attacks.base import Attack, AttackState, final_state
from lab.attacks.closed_form.mismatch import mismatch
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.gradient_matching import GradientMatching
from lab.federated.observation import Observation
from lab.federated.tensors import IMAGES
from lab.options.fields import Bounds, Help
from lab.options.words import percent

if TYPE_CHECKING:
    from lab.attacks.closed_form.chain import Obstacle
    from lab.attacks.closed_form.inversion import Inversion

MAX_START_MISMATCH = 0.15
"""Relative mismatch of a picture in closed form up to which gradient matching does better from there than from grey."""


@dataclass(frozen=True)
class Recursive(Attack):
    """Solve each layer for its input, top to bottom (R-GAP's family, Zhu and Blaschko, ICLR 2021).

    Where skips or a max-pooling hide single units, the overlaps of patches in a convolution's own gradient
    tell them. Of several pictures the head must set them apart; the drift of local steps is taken off in
    rounds. What breaks it is named, and gradient matching takes over from there.
    """

    modality: ClassVar[str] = IMAGES
    hand_over: Annotated[bool, Help("let gradient matching take over where the algebra breaks")] = True
    iterations: Annotated[int, Bounds(1, 100_000, log=True), Help("steps of gradient matching after a break", "steps")] = 200

    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """A state a layer, top to bottom, then a state a step of the joint solve; grey until the picture is reached."""
        from lab.attacks.closed_form.inversion import KEPT_WITHOUT_MATCHING, Inversion, grey_state

        state = grey_state(observation)
        yield state
        inversion = Inversion(observation)
        broken = inversion.obstacle()
        if broken is None:
            state = yield from _invert(inversion, state)
            if observation.local_steps > 1:
                state = yield from _correct_drift(observation, state)
            broken = inversion.verdict(state)
        elif inversion.features is not None:
            state = replace(state, features=inversion.features)
        finished = broken.outcome in (*KEPT_WITHOUT_MATCHING, ClosedFormOutcome.PEEL_NOISE)
        if finished or not self.hand_over or not inversion.shares_anything:
            yield final_state(observation, state, broken.outcome, broken.note)
            return
        yield from self._match(inversion, generator, state, broken)

    def _match(
        self, inversion: Inversion, generator: torch.Generator, closed_form: AttackState, broken: Obstacle
    ) -> Iterator[AttackState]:
        """Matching from a closed-form picture worth it, else from grey; such a one is kept unless that explains more."""
        from lab.attacks.closed_form.inversion import UNDERDETERMINED

        observation, is_open = inversion.observation, broken.outcome in UNDERDETERMINED
        found = closed_form.objective <= MAX_START_MISMATCH and not is_open
        matching = GradientMatching(iterations=self.iterations, coarse_to_fine=not found)
        start = closed_form.images.clamp(0, 1) if found else None
        state = closed_form
        for matched in matching.reconstruct(observation, generator, start):
            state = replace(matched.after(closed_form), outcome=None)
            yield state
        if is_open:
            state = projected(inversion, state)
        after = mismatch(observation, state.images)
        if not inversion.is_underdetermined and not after < _shown_mismatch(observation, closed_form):
            note = (
                f"{broken.note} Gradient matching took over but explained the shared numbers no better ({percent(after)} off)."
            )
            kept = closed_form.images.clamp(0, 1) if is_open else closed_form.images
            yield final_state(observation, replace(state, candidate=kept), broken.outcome, note)
            return
        origin = "the peeled picture" if found else "grey"
        note = f"{broken.note} Gradient matching took over from {origin} and ends {percent(after)} off the shared numbers."
        yield final_state(observation, state, broken.outcome, note)


def _shown_mismatch(observation: Observation, closed_form: AttackState) -> float:
    """That of a closed-form picture as it is shown, its pixels in the box; infinite where there is none."""
    return mismatch(observation, closed_form.images.clamp(0, 1)) if math.isfinite(closed_form.objective) else math.inf


def projected(inversion: Inversion, matched: AttackState) -> AttackState:
    """A matched state moved to the nearest picture that the equations allow, where that explains more."""
    moved = inversion.nearest_consistent(matched.images)
    before, after = (mismatch(inversion.observation, images) for images in (matched.images, moved))
    return replace(matched, candidate=moved) if after < before else matched


def _invert(inversion: Inversion, state: AttackState) -> Generator[AttackState, None, AttackState]:
    """The states of one way down; returns the last with the picture that explains most."""
    from lab.attacks.closed_form.inversion import picture_of

    before = state.iteration
    state = replace(state, objective=math.nan)
    for step in inversion.invert(state):
        counted = step.counted_on(before)
        yield counted
        state = counted if not step.objective > state.objective else replace(counted, **picture_of(state))
    return state


def _correct_drift(observation: Observation, state: AttackState) -> Generator[AttackState, None, AttackState]:
    """The way down again, each time without the drift that the last picture causes, as long as that explains more."""
    from lab.attacks.closed_form.inversion import Inversion, picture_of
    from lab.attacks.closed_form.local_steps import MAX_ROUNDS, STAGNATION, without_drift

    for _ in range(MAX_ROUNDS):
        if not math.isfinite(state.objective):
            break
        corrected = without_drift(observation, state.images)
        inversion = None if corrected is None else Inversion(observation, corrected)
        if inversion is None or inversion.obstacle() is not None:
            break
        found = yield from _invert(inversion, state)
        if not found.objective < STAGNATION * state.objective:
            return replace(found, **picture_of(state))
        state = found
    return state
