"""The moving parts of one attempt at gradient matching: the leaves of its modality, label logits, and what steps them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.lazy import Tensor, no_grad, torch

from lab.attacks.derivative.matcher import Match, Matcher
from lab.attacks.labels.llg import recover_labels
from lab.attacks.matching.optimisers.base import Schedule
from lab.attacks.matching.optimisers.stepper import Stepper
from lab.attacks.matching.priors.base import Prior
from lab.attacks.matching.settings import Matching
from lab.errors import LabError
from lab.federated.gradients import pull_back
from lab.federated.inputs import add_scaled, detached, first, is_equal, tree_map, zip_map
from lab.federated.observation import LabelSource, Observation
from lab.federated.tensors import Inputs, Labels, Targets
from lab.modalities.base import Leaves, modality_of
from lab.randomness import normal_like

if TYPE_CHECKING:
    from lab.attacks.matching.local_steps import Surrogate

NOISE_FREE_AFTER = 0.95
"""Share of the budget after which no noise is added: the last steps see the candidate as it is."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What the objective is made of at a candidate, before priors are weighted."""

    inputs: Inputs
    perturbation: Inputs | None
    targets: Targets
    match: Match
    penalties: list[tuple[Tensor, Inputs]]
    """Of each prior the value R and its gradient."""

    def is_at(self, inputs: Inputs, perturbation: Inputs | None, targets: Targets) -> bool:
        """Whether this is the evaluation there."""
        return perturbation is self.perturbation and is_equal(inputs, self.inputs) and torch.equal(targets, self.targets)


class CachedObjective:
    """Looks at candidates and knows what it saw last: a line search often ends where it last looked."""

    def __init__(self, matcher: Matcher, priors: tuple[Prior, ...]) -> None:
        self.matcher, self.priors = matcher, priors
        self.last: Evaluation | None = None

    def __call__(self, inputs: Inputs, perturbation: Inputs | None, targets: Targets) -> Evaluation:
        """The match of the perturbed candidate and the penalties of the clear one, computed afresh unless this came last."""
        if self.last is None or not self.last.is_at(inputs, perturbation, targets):
            match = self.matcher(inputs if perturbation is None else zip_map(torch.add, inputs, perturbation), targets)
            penalties = [prior.value_and_gradient(inputs) for prior in self.priors]
            self.last = Evaluation(detached(inputs), perturbation, targets, match, penalties)
        return self.last


class Search:
    """One attempt: ``evaluate`` the candidate, then ``step`` it.

    What moves are the leaves of the modality, and label logits where labels are sought, too. Coarse to fine, they are those of
    all scales; an optimiser that can be given a metric has no need of these.
    """

    def __init__(
        self,
        attack: Matching,
        observation: Observation,
        matcher: Matcher,
        generator: torch.Generator,
        *,
        noise: bool,
        start: Inputs | None = None,
        surrogate: Surrogate | None = None,
    ) -> None:
        self.attack = attack
        self.surrogate, self.residual = surrogate, 0.0
        self.observation = observation
        self.is_all_zero = not any(bool(tensor.any()) for tensor in observation.update.values())
        self.objective = CachedObjective(matcher, attack.priors)
        self.is_warm_start, self.is_corrected = start is not None, False
        self.modality = modality_of(observation.modality)
        self.candidate = self.modality.start(observation, generator, noise=noise) if start is None else detached(start)
        self.logits, self.fixed = self._first_targets(generator)
        self.leaves, self.stepper = self._stepped()
        self.generator = generator
        self.perturbation: Inputs | None = None
        self.progress = 0.0
        self.prior_factors: list[Tensor | float] = []
        self.pending: Tensor | float | None = None

    def _first_targets(self, generator: torch.Generator) -> tuple[Tensor | None, Targets | None]:
        """Free label logits (DLG's joint recovery), or labels given or recovered."""
        observation = self.observation
        if observation.label_source is LabelSource.JOINT:
            shape = (observation.batch_size, observation.classes)
            noise = torch.randn(shape, generator=generator, dtype=first(self.candidate).dtype)
            return noise.to(observation.device).requires_grad_(), None
        if observation.label_source is LabelSource.INFERRED:
            return None, recover_labels(observation)
        if observation.labels is None:
            raise LabError("The labels are said to be known, but the observation holds none; infer them instead.")
        return None, observation.labels

    def _stepped(self) -> tuple[Leaves, Stepper]:
        """Leaves at the candidate and what steps them; of all scales where the optimiser takes no metric."""
        optimiser, broad = self.attack.optimiser, self.attack.coarse_to_fine
        leaves = self.modality.leaves(self.candidate, broad=False)
        metric = self.modality.metric(self.candidate) if broad else None
        with_metric = None if metric is None else optimiser.metric_stepper(self._moving(leaves), metric)
        if with_metric is not None:
            return leaves, with_metric
        leaves = self.modality.leaves(self.candidate, broad=broad)
        return leaves, optimiser.stepper(self._moving(leaves))

    def _moving(self, leaves: Leaves) -> list[Tensor]:
        """All that a step moves."""
        return [*(leaf.requires_grad_() for leaf in leaves.values()), *([] if self.logits is None else [self.logits])]

    def labels(self) -> Labels | None:
        """The labels as believed at present; None where a picture has any number of them."""
        if self.logits is not None:
            return self.logits.detach().argmax(1)
        return None if self.fixed is None or self.fixed.is_floating_point() else self.fixed

    def _targets(self) -> Targets:
        """What the candidate is trained on: labels, or probabilities in the graph of their logits."""
        targets = self.fixed if self.logits is None else self.observation.loss.to_soft_targets(self.logits)
        assert targets is not None
        return targets

    def correct(self, iteration: int) -> None:
        """Where a correction is due: from now on match what the present candidate says a single step has to match."""
        self.is_corrected = self.surrogate is not None and self.surrogate.is_due(iteration, self.attack.iterations)
        if self.surrogate is None or not self.is_corrected:
            return
        correction = self.surrogate.correction(self.candidate, self._targets().detach())
        self.residual = correction.residual
        if correction.shared is not None:
            self.objective = CachedObjective(self.objective.matcher.towards(correction.shared), self.attack.priors)

    def distance(self, terms: Mapping[str, float], *, wanted: bool) -> float:
        """How far the candidate's own update is from the shared one; infinite where that is not known, and not ``wanted``.

        A noisy copy's is not the candidate's, nor is a single step's that of local steps on a way that bends.
        """
        if self.surrogate is not None and self.surrogate.is_curved:
            if wanted and not self.is_corrected:
                self.residual = self.surrogate.residual(self.candidate, self._targets().detach())
            return self.residual if wanted or self.is_corrected else math.inf
        if self.perturbation is None:
            return terms["distance"]
        return float(self.objective(self.candidate, None, self._targets()).match.distance) if wanted else math.inf

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
        terms = self._gradients(self.candidate)
        fixed = (prior.weight_at(progress) * terms[prior.name] for prior in self.attack.priors if not prior.relative)
        return terms["distance"] + sum(fixed), terms

    def _drawn_perturbation(self) -> Inputs | None:
        """What this step adds to the candidate before its update is computed, less and less; None for nothing."""
        if not self.attack.annealing or self.progress >= NOISE_FREE_AFTER:
            return None
        deviation = self.attack.annealing * Schedule.COSINE.factor(self.progress)
        return tree_map(lambda tensor: deviation * normal_like(tensor, self.generator), self.candidate)

    def _gradients(self, inputs: Inputs) -> dict[str, float]:
        """Set the gradients of all leaves at this candidate; the prior's factors are those of the step's first evaluation."""
        targets = self._targets()
        evaluation = self.objective(inputs, self.perturbation, targets)
        match, penalties = evaluation.match, evaluation.penalties
        if not self.prior_factors:
            pairs = zip(self.attack.priors, penalties, strict=True)
            self.prior_factors = [prior.factor(gradient, match.input_gradient, self.progress) for prior, (_, gradient) in pairs]
        total, value = match.input_gradient, match.distance
        for factor, (penalty, gradient) in zip(self.prior_factors, penalties, strict=True):
            total, value = add_scaled(total, factor, gradient), value + factor * penalty
        self.pending = value
        self._set_gradients(total, targets, match.target_gradient)
        values = {prior.name: float(penalty) for prior, (penalty, _) in zip(self.attack.priors, penalties, strict=True)}
        return {"distance": float(match.distance), **values}

    def _set_gradients(self, gradient: Inputs, targets: Targets, target_gradient: Tensor | None) -> None:
        direction = self.attack.optimiser.direction
        for name, of_leaf in self.modality.pull_back(self.leaves, gradient).items():
            self.leaves[name].grad = direction(of_leaf)
        if self.logits is not None and target_gradient is not None:
            self.logits.grad = pull_back([targets], [self.logits], [target_gradient])[0]

    def step(self) -> None:
        """One step of the stepper, then back inside."""
        for group in self.stepper.param_groups:
            group["lr"] = self.attack.optimiser.step * self.attack.optimiser.schedule.factor(self.progress)
        self.stepper.step(self._closure)
        self.candidate = self.modality.project(self.leaves, self.candidate, boxed=self.attack.boxed)

    def _closure(self) -> float:
        """What the stepper lowers, with gradients in place; the first call of a step uses what ``evaluate`` found."""
        if self.pending is None:
            self._gradients(self._moved())
        assert self.pending is not None
        value, self.pending = self.pending, None
        return float(value)

    @no_grad
    def _moved(self) -> Inputs:
        """The candidate that the leaves make in the middle of a step."""
        return self.modality.inputs(self.leaves, self.candidate)
