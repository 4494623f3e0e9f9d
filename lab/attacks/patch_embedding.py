"""A vision transformer's photograph as one linear system: what two shared tensors tell of all patches at once."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import torch

from lab.attacks.base import Attack, AttackState, Outcome, final_state
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.distances.balanced_cosine import BalancedCosine
from lab.federated.observation import Observation
from lab.federated.tensors import IMAGES, Images
from lab.options.fields import Bounds, Help
from lab.options.words import percent, rounded

if TYPE_CHECKING:
    from lab.attacks.closed_form.mismatch import Fit
    from lab.attacks.closed_form.patch_equations import PatchEquations
    from lab.attacks.closed_form.patch_solve import PatchSolution

MAX_BIAS_GAP = 0.1
"""Up to this share of the bias's gradient may what its check lacks be noise; beyond, the system does not hold."""
ROUNDING_FACTOR = 4.0
"""The client rounded its weights and so does the picture's own run: both together stay below so many times the one."""
NOISY_RESIDUAL = 1e-5
"""An equation that lacks more than this share is no rounding of single precision."""
BELIEVED_SHARE = 0.5
"""A refined picture is believed where it leaves less than this share of what the first one leaves unexplained."""
FRAMES = 16
"""The picture is shown in at most so many parts."""


class PatchOutcome(Outcome):
    """How a patch embedding was read."""

    PATCHES = (
        "Read off exactly: two shared tensors are one linear system for all patches, and the picture that solves it sends all "
        "that was shared."
    )
    PATCHES_UNMOVED = (
        "Read off exactly: the weights moved under way, but the patches never did, and they solve the same linear system."
    )
    PATCHES_UNCONFIRMED = (
        "Patches solve the linear system, but their own local steps do not send these numbers: the picture is right if the "
        "client's steps are sums of gradients (momentum, decay), and false if they are not (Adam)."
    )
    PATCHES_ROUNDED = (
        "Rounding of the client's weights took digits from the linear system; its picture was drawn to all else that was sent, "
        "and explains that as far as rounding lets one see."
    )
    PATCHES_OPEN = (
        "A token has fewer numbers than the picture has patches, so no equation tells some mixtures of the patches: of those "
        "the smoothest were taken."
    )
    PATCHES_NOISY = (
        "The shared numbers carry noise, which the linear system for the patches amplifies; where it drowns them the smoothest "
        "patches were taken."
    )
    NO_SYSTEM = (
        "The gradients of places and bias disagree, as sums of gradients never do: the client took steps of Adam, or a defence "
        "changed them, so no equation holds."
    )
    SEVERAL_PICTURES = "Several pictures share one gradient for each place, so the linear system mixes their patches."
    NO_PLACES = "This network has no convolution that cuts the picture into patches with learned places, so there is no system."


@dataclass(frozen=True)
class PatchEmbedding(Attack):
    """Solve G^T X = dL/dW for all patches X, G being the position embedding's gradient (APRIL: Lu et al., CVPR 2022).

    Nothing is guessed and no other layer is asked, so depth and training do not matter, nor do local steps of SGD. Under
    noise, and where a token has fewer numbers than the picture has patches, a smooth picture fills what the system leaves open.
    What rounding takes of a change of weights is sought in all else that was sent (``patch_refinement``).
    """

    modality: ClassVar[str] = IMAGES
    hand_over: Annotated[bool, Help("let matching go on where there is no system, or rounding blurs it")] = True
    iterations: Annotated[int, Bounds(1, 100_000, log=True), Help("steps of gradient matching after that", "steps")] = 200

    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """A grey state, a few rows of patches a state, where weights were rounded the way from there, then the verdict.

        Or matching, where no system holds.
        """
        from lab.attacks.closed_form.inversion import grey_state

        grey = grey_state(observation)
        yield grey
        read = _read(observation)
        if isinstance(read, tuple):
            yield from self._match(observation, generator, grey, *read)
            return
        reading = _solved(observation, read)
        state = grey
        for state in _shown(grey, reading.solution):
            yield state
        if self.hand_over and _is_rounded(observation, reading):
            state, reading = yield from self._refine(observation, state, reading)
        outcome, note = _verdict(observation, reading)
        yield final_state(observation, state, outcome, note)

    def _match(
        self, observation: Observation, generator: torch.Generator, grey: AttackState, outcome: Outcome, note: str
    ) -> Iterator[AttackState]:
        """Matching from its own start, with the reason for it at its end."""
        silent = outcome is ClosedFormOutcome.DEAD_UNITS
        if silent or not self.hand_over:
            yield final_state(observation, grey, outcome, note)
            return
        matching = GradientMatching(distance=BalancedCosine(), iterations=self.iterations)
        for state in matching.reconstruct(observation, generator):
            told = f"{note} Gradient matching took over from grey. {state.note}".strip()
            yield state if state.outcome is None else replace(state, outcome=outcome, note=told)

    def _refine(
        self, observation: Observation, solved: AttackState, reading: _SolvedPatches
    ) -> Generator[AttackState, None, tuple[AttackState, _SolvedPatches]]:
        """States of a refinement; returns the last one, or the one given if that explains the update as well."""
        from lab.attacks.closed_form.mismatch import fit
        from lab.attacks.closed_form.patch_refinement import refined

        state = solved = replace(solved, iterations=solved.iterations + self.iterations)
        for count, picture in enumerate(refined(observation, reading.equations, solved.images, self.iterations), 1):
            state = replace(solved, iteration=solved.iteration + count, candidate=picture)
            yield state
        own = fit(observation, state.images)
        if own.residual < BELIEVED_SHARE * reading.own.residual:
            return state, replace(reading, own=own, before=reading.own)
        return replace(solved, iteration=state.iteration), reading


def _read(observation: Observation) -> PatchEquations | tuple[Outcome, str]:
    """The system, or why there is none, with a number."""
    from lab.attacks.closed_form.patch_equations import find_embedding, read_equations

    embedding = find_embedding(observation.network, observation.image_shape)
    if embedding is None or not embedding.positions:
        return PatchOutcome.NO_PLACES, "0 parameters have the shape of places." if embedding else "0 such convolutions."
    if observation.batch_size > 1:
        return PatchOutcome.SEVERAL_PICTURES, f"{observation.batch_size} pictures."
    equations = read_equations(observation, embedding)
    if equations is None:
        lacking = [name for name in (embedding.weight, *embedding.positions) if name not in observation.update]
        return ClosedFormOutcome.NOT_SENT, f"Nothing of {' and '.join(lacking)} was sent."
    if not (equations.token_gradients.any() and equations.weight_gradient.any()):
        return ClosedFormOutcome.DEAD_UNITS, f"{embedding.weight} and {equations.positions} have no gradient to divide."
    if equations.gap > MAX_BIAS_GAP:
        return PatchOutcome.NO_SYSTEM, f"{percent(equations.gap)} of {embedding.bias} is unexplained."
    return equations


@dataclass(frozen=True, eq=False)
class _SolvedPatches:
    """A system, the picture that solves it, and how that explains everything else that was shared."""

    equations: PatchEquations
    solution: PatchSolution
    own: Fit
    before: Fit | None = None
    """What the solution explained that was refined."""


def _is_rounded(observation: Observation, reading: _SolvedPatches) -> bool:
    """Whether stored weights blur the system, and the picture's own steps, as the server knows them, are the client's."""
    from lab.attacks.closed_form.patch_equations import sends_change

    protocol = observation.protocol
    known = protocol.is_linear and len(protocol.guesses()) == 1 and reading.own.factor == 1
    if not known or not sends_change(observation):
        return False
    decay = protocol.steps(observation.batch_size).as_sum().decay
    return bool(decay) or not reading.equations.decayed


def _solved(observation: Observation, equations: PatchEquations) -> _SolvedPatches:
    from lab.attacks.closed_form.mismatch import fit
    from lab.attacks.closed_form.patch_solve import solve
    from lab.federated.classifier import Normalise

    normalise = observation.network.normalise
    assert isinstance(normalise, Normalise)
    solution = solve(equations, normalise)
    return _SolvedPatches(equations, solution, fit(observation, solution.picture.to(next(iter(observation.update.values())))))


def _shown(grey: AttackState, solution: PatchSolution) -> Iterator[AttackState]:
    """States that show the solution a few rows of patches at a time, top to bottom."""
    picture: Images = solution.picture.to(grey.images)
    rows = solution.grid.rows
    each = -(-rows // FRAMES)
    count = -(-rows // each)
    for place in range(1, count + 1):
        height = min(place * each, rows) * solution.grid.height
        candidate = grey.images.clone()
        candidate[:, :, :height] = picture[:, :, :height]
        yield replace(
            grey,
            iteration=place,
            iterations=count,
            candidate=candidate,
            objective=solution.residual,
            terms={"residual": solution.residual},
        )


def _verdict(observation: Observation, reading: _SolvedPatches) -> tuple[Outcome, str]:
    """What the picture is worth: exact only where its own update is the shared one."""
    from lab.attacks.closed_form.mismatch import EXACT_MISMATCH
    from lab.federated.rounding import rounding

    equations, solution, several = reading.equations, reading.solution, observation.local_steps > 1
    rounded = rounding(observation) if several else 0.0
    note = _note(reading) + (f" Rounding the weights alone makes {percent(rounded)}." if several else "")
    if reading.before is not None:
        return PatchOutcome.PATCHES_ROUNDED, note
    if reading.own.residual <= max(EXACT_MISMATCH, ROUNDING_FACTOR * rounded):
        return (PatchOutcome.PATCHES_UNMOVED if several else PatchOutcome.PATCHES), note
    stored = ROUNDING_FACTOR * rounding(observation, equations.weight) if several else 0.0
    if solution.noise > max(NOISY_RESIDUAL, stored):
        return PatchOutcome.PATCHES_NOISY, note
    if solution.determined < solution.grid.patches:
        return PatchOutcome.PATCHES_OPEN, note
    return PatchOutcome.PATCHES_UNCONFIRMED, note


def _note(reading: _SolvedPatches) -> str:
    equations, solution = reading.equations, reading.solution
    condition = rounded(solution.condition, 2)
    told = f"{solution.determined} of {solution.grid.patches} mixtures of patches are told, condition {condition}"
    decay = f"; the weights decayed by {percent(-equations.decayed)}" if equations.decayed else ""
    before = f", and was {percent(reading.before.residual)}" if reading.before else ""
    return f"{told}{decay}; the picture's own update is {percent(reading.own.residual)} off{before}.{reading.own.note}"
