"""The moving parts of one attempt at gradient matching: pixels, broad shapes, label logits, and what steps them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.late import Tensor, no_grad, torch

from lab.attacks.derivative.matcher import Match, Matcher
from lab.attacks.labels.llg import recover_labels
from lab.attacks.matching.optimisers.base import Schedule
from lab.attacks.matching.optimisers.stepper import Stepper
from lab.attacks.matching.priors.base import Prior
from lab.attacks.matching.settings import Matching
from lab.errors import LabError
from lab.federated.gradients import pull_back
from lab.federated.observation import LabelSource, Observation
from lab.federated.tensors import Images, Labels, Targets
from lab.modalities.images.coarse_to_fine import Grids

if TYPE_CHECKING:
    from lab.attacks.matching.local_steps import Surrogate

NOISE_DEVIATION = 0.25
"""The paper starts from a standard normal in normalised units; a unit there is about 0.25 in pixels."""


STILL = 0.95
"""Share of the budget after which no noise is added: the last steps see the candidate as it is."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What the objective is made of at a candidate, before priors are weighted."""

    images: Images
    perturbation: Images | None
    targets: Targets
    match: Match
    penalties: list[tuple[Tensor, Images]]
    """Of each prior the value R and its gradient."""

    def is_at(self, images: Images, perturbation: Images | None, targets: Targets) -> bool:
        """Whether this is the evaluation there."""
        return perturbation is self.perturbation and torch.equal(images, self.images) and torch.equal(targets, self.targets)


class CachedObjective:
    """Looks at candidates and knows what it saw last: a line search often ends where it last looked."""

    def __init__(self, matcher: Matcher, priors: tuple[Prior, ...]) -> None:
        self.matcher, self.priors = matcher, priors
        self.last: Evaluation | None = None

    def __call__(self, images: Images, perturbation: Images | None, targets: Targets) -> Evaluation:
        """The match of the perturbed candidate and the penalties of the clear one, computed afresh unless this came last."""
        if self.last is None or not self.last.is_at(images, perturbation, targets):
            match = self.matcher(images if perturbation is None else images + perturbation, targets)
            penalties = [prior.value_and_gradient(images) for prior in self.priors]
            self.last = Evaluation(images.clone(), perturbation, targets, match, penalties)
        return self.last


class Search:
    """One attempt: ``evaluate`` the candidate, then ``step`` it.

    Coarse to fine, the candidate is pixels + sum of w_s up(shape_s) over grids s (``Grids``), and the optimiser
    moves all of them at once: broad shapes settle within a few steps, and no step starts afresh
    as it would after a change of resolution. The shapes are zero between two steps. An optimiser that can be given
    a metric has no need of them: shapes that follow their gradients move the pixels by 1 + up down of theirs.
    """

    def __init__(
        self,
        attack: Matching,
        observation: Observation,
        matcher: Matcher,
        generator: torch.Generator,
        *,
        noise: bool,
        first: Images | None = None,
        surrogate: Surrogate | None = None,
    ) -> None:
        self.attack = attack
        self.surrogate, self.residual = surrogate, 0.0
        self.observation = observation
        self.is_all_zero = not any(bool(tensor.any()) for tensor in observation.update.values())
        self.objective = CachedObjective(matcher, attack.priors)
        self.is_warm_start, self.is_corrected = first is not None, False
        start = self._start(generator, noise=noise) if first is None else first.detach().clone()
        self.pixels = start.requires_grad_()
        self.grids = Grids(self.pixels) if attack.coarse_to_fine and Grids.fit(self.pixels) else None
        self.coarse: Tensor | None = None
        self.logits, self.fixed = self._first_targets(generator)
        self.stepper = self._stepper()
        self.generator = generator
        self.perturbation: Images | None = None
        self.progress = 0.0
        self.prior_factors: list[Tensor | float] = []
        self.pending: Tensor | float | None = None

    def _start(self, generator: torch.Generator, *, noise: bool) -> Images:
        """Mid-grey, or normal noise around it."""
        like = next(iter(self.observation.update.values()))
        shape = (self.observation.batch_size, *self.observation.image_shape)
        grey = torch.full(shape, 0.5, dtype=like.dtype, device=like.device)
        if not noise:
            return grey
        return grey + NOISE_DEVIATION * torch.randn(shape, generator=generator, dtype=like.dtype).to(like.device)

    def _first_targets(self, generator: torch.Generator) -> tuple[Tensor | None, Labels | None]:
        """Free label logits (DLG's joint recovery), or labels given or recovered."""
        observation = self.observation
        if observation.label_source is LabelSource.JOINT:
            shape = (observation.batch_size, observation.classes)
            noise = torch.randn(shape, generator=generator, dtype=self.pixels.dtype)
            return noise.to(observation.device).requires_grad_(), None
        if observation.label_source is LabelSource.INFERRED:
            return None, recover_labels(observation)
        if observation.labels is None:
            raise LabError("The labels are said to be known, but the observation holds none; infer them instead.")
        return None, observation.labels

    def _stepper(self) -> Stepper:
        """Over all leaves; the shapes are among them where the optimiser takes no metric."""
        optimiser, grids = self.attack.optimiser, self.grids
        with_metric = optimiser.metric_stepper(self._leaves(), grids.spread) if grids else None
        if grids and with_metric is None:
            self.coarse = grids.zeros(self.pixels)
        return with_metric or optimiser.stepper(self._leaves())

    def _leaves(self) -> list[Tensor]:
        return [leaf for leaf in (self.pixels, self.coarse, self.logits) if leaf is not None]

    @no_grad
    def images(self) -> Images:
        """The candidate as a function of all leaves; between two steps it equals the pixels, bit by bit."""
        if self.grids is None or self.coarse is None:
            return self.pixels.detach()
        return self.pixels + self.grids.up(self.coarse)

    def labels(self) -> Labels | None:
        """The labels as believed at present."""
        return self.fixed if self.logits is None else self.logits.detach().argmax(1)

    def _targets(self) -> Targets:
        """What the candidate is trained on: labels, or probabilities in the graph of their logits."""
        targets = self.fixed if self.logits is None else self.logits.softmax(1)
        assert targets is not None
        return targets

    def correct(self, iteration: int) -> None:
        """Where a correction is due: from now on match what the present candidate says a single step has to match."""
        self.is_corrected = self.surrogate is not None and self.surrogate.is_due(iteration, self.attack.iterations)
        if self.surrogate is None or not self.is_corrected:
            return
        correction = self.surrogate.correction(self.pixels.detach(), self._targets().detach())
        self.residual = correction.residual
        if correction.shared is not None:
            self.objective = CachedObjective(self.objective.matcher.towards(correction.shared), self.attack.priors)

    def distance(self, terms: Mapping[str, float], *, wanted: bool) -> float:
        """How far the candidate's own update is from the shared one; infinite where that is not known, and not ``wanted``.

        A noisy copy's is not the candidate's, nor is a single step's that of local steps on a way that bends.
        """
        if self.surrogate is not None and self.surrogate.is_curved:
            if wanted and not self.is_corrected:
                self.residual = self.surrogate.residual(self.pixels.detach(), self._targets().detach())
            return self.residual if wanted or self.is_corrected else math.inf
        if self.perturbation is None:
            return terms["distance"]
        return float(self.objective(self.pixels.detach(), None, self._targets()).match.distance) if wanted else math.inf

    @property
    def note(self) -> str:
        """What the last correction has to say about the candidate."""
        return "" if self.surrogate is None else self.surrogate.note(self.residual)

    def evaluate(self, progress: float) -> tuple[float, dict[str, float]]:
        """The objective and its terms at the candidate, ``progress`` into the budget; leaves each leaf's gradient behind.

        With annealing the distance is that of a noisy copy, the same one for the whole step; priors see the candidate.
        A relative prior steers, but its penalty is no part of the objective: its factor changes at each step.
        """
        self.prior_factors, self.progress = [], progress
        self.perturbation = self._drawn_perturbation()
        terms = self._gradients(self.pixels.detach())  # the shapes are zero, and need not be drawn up
        fixed = (prior.weight_at(progress) * terms[prior.name] for prior in self.attack.priors if not prior.relative)
        return terms["distance"] + sum(fixed), terms

    def _drawn_perturbation(self) -> Images | None:
        """What this step adds to the candidate before its update is computed, less and less; None for nothing."""
        if not self.attack.annealing or self.progress >= STILL:
            return None
        deviation = self.attack.annealing * Schedule.COSINE.factor(self.progress)
        drawn = torch.randn(self.pixels.shape, generator=self.generator, dtype=self.pixels.dtype)
        return deviation * drawn.to(self.pixels.device)

    def _gradients(self, images: Images) -> dict[str, float]:
        """Set the gradients of all leaves at this candidate; the prior's factors are those of the step's first evaluation."""
        targets = self._targets()
        evaluation = self.objective(images, self.perturbation, targets)
        match, penalties = evaluation.match, evaluation.penalties
        if not self.prior_factors:
            pairs = zip(self.attack.priors, penalties, strict=True)
            self.prior_factors = [prior.factor(gradient, match.image_gradient, self.progress) for prior, (_, gradient) in pairs]
        total, value = match.image_gradient, match.distance
        for factor, (penalty, gradient) in zip(self.prior_factors, penalties, strict=True):
            total, value = total + factor * gradient, value + factor * penalty
        self.pending = value
        self._set_gradients(total, targets, match.target_gradient)
        values = {prior.name: float(penalty) for prior, (penalty, _) in zip(self.attack.priors, penalties, strict=True)}
        return {"distance": float(match.distance), **values}

    def _set_gradients(self, gradient: Images, targets: Targets, target_gradient: Tensor | None) -> None:
        direction = self.attack.optimiser.direction
        self.pixels.grad = direction(gradient)
        if self.grids is not None and self.coarse is not None:
            self.coarse.grad = direction(self.grids.down(gradient))
        if self.logits is not None and target_gradient is not None:
            self.logits.grad = pull_back([targets], [self.logits], [target_gradient])[0]

    def step(self) -> None:
        """One step of the stepper, then back into the box."""
        for group in self.stepper.param_groups:
            group["lr"] = self.attack.optimiser.step * self.attack.optimiser.schedule.factor(self.progress)
        self.stepper.step(self._closure)
        self._fold_coarse()

    @no_grad
    def _fold_coarse(self) -> None:
        """Fold the shapes into the pixels, and keep these in the box."""
        images = self.images()
        self.pixels.copy_(images.clamp(0, 1) if self.attack.boxed else images)
        if self.coarse is not None:
            self.coarse.zero_()

    def _closure(self) -> float:
        """What the stepper lowers, with gradients in place; the first call of a step uses what ``evaluate`` found."""
        if self.pending is None:
            self._gradients(self.images())
        assert self.pending is not None
        value, self.pending = self.pending, None
        return float(value)
