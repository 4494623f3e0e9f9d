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
    """What the objective is made of at a candidate, before priors are weighed."""

    images: Images
    blur: Images | None
    targets: Targets
    match: Match
    prices: list[tuple[Tensor, Images]]
    """Of each prior the price and its gradient."""

    def answers(self, images: Images, blur: Images | None, targets: Targets) -> bool:
        """Whether this is what would be seen there."""
        return blur is self.blur and torch.equal(images, self.images) and torch.equal(targets, self.targets)


class CachedObjective:
    """Looks at candidates and knows what it saw last: a line search often ends where it last looked."""

    def __init__(self, matcher: Matcher, priors: tuple[Prior, ...]) -> None:
        self.matcher, self.priors = matcher, priors
        self.last: Evaluation | None = None

    def __call__(self, images: Images, blur: Images | None, targets: Targets) -> Evaluation:
        """The match of the blurred candidate and the prices of the clear one, computed afresh unless this came last."""
        if self.last is None or not self.last.answers(images, blur, targets):
            match = self.matcher(images if blur is None else images + blur, targets)
            prices = [prior.slope(images) for prior in self.priors]
            self.last = Evaluation(images.clone(), blur, targets, match, prices)
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
        self.surrogate, self.missed = surrogate, 0.0
        self.observation = observation
        self.is_told_nothing = not any(bool(tensor.any()) for tensor in observation.update.values())
        self.look = CachedObjective(matcher, attack.priors)
        self.is_handed_over, self.is_set_right = first is not None, False
        start = self._start(generator, noise=noise) if first is None else first.detach().clone()
        self.pixels = start.requires_grad_()
        self.grids = Grids(self.pixels) if attack.coarse_to_fine and Grids.fit(self.pixels) else None
        self.shapes: Tensor | None = None
        self.logits, self.fixed = self._first_targets(generator)
        self.stepper = self._stepper()
        self.generator = generator
        self.blur: Images | None = None
        self.progress = 0.0
        self.shares: list[Tensor | float] = []
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
            self.shapes = grids.zeros(self.pixels)
        return with_metric or optimiser.stepper(self._leaves())

    def _leaves(self) -> list[Tensor]:
        return [leaf for leaf in (self.pixels, self.shapes, self.logits) if leaf is not None]

    @no_grad
    def images(self) -> Images:
        """The candidate as a function of all leaves; between two steps it equals the pixels, bit by bit."""
        if self.grids is None or self.shapes is None:
            return self.pixels.detach()
        return self.pixels + self.grids.up(self.shapes)

    def labels(self) -> Labels | None:
        """The labels as believed at present."""
        return self.fixed if self.logits is None else self.logits.detach().argmax(1)

    def _targets(self) -> Targets:
        """What the candidate is trained on: labels, or probabilities in the graph of their logits."""
        targets = self.fixed if self.logits is None else self.logits.softmax(1)
        assert targets is not None
        return targets

    def set_right(self, iteration: int) -> None:
        """Where a correction is due: from now on match what the present candidate says a single step has to match."""
        self.is_set_right = self.surrogate is not None and self.surrogate.is_due(iteration, self.attack.iterations)
        if self.surrogate is None or not self.is_set_right:
            return
        correction = self.surrogate.correction(self.pixels.detach(), self._targets().detach())
        self.missed = correction.missed
        if correction.shared is not None:
            self.look = CachedObjective(self.look.matcher.towards(correction.shared), self.attack.priors)

    def distance(self, terms: Mapping[str, float], *, wanted: bool) -> float:
        """How far the candidate's own update is from the shared one; infinite where that is not known, and not ``wanted``.

        A noisy copy's is not the candidate's, nor is a single step's that of local steps on a way that bends.
        """
        if self.surrogate is not None and self.surrogate.bends:
            if wanted and not self.is_set_right:
                self.missed = self.surrogate.missed(self.pixels.detach(), self._targets().detach())
            return self.missed if wanted or self.is_set_right else math.inf
        if self.blur is None:
            return terms["distance"]
        return float(self.look(self.pixels.detach(), None, self._targets()).match.distance) if wanted else math.inf

    @property
    def note(self) -> str:
        """What the last correction has to say about the candidate."""
        return "" if self.surrogate is None else self.surrogate.note(self.missed)

    def evaluate(self, progress: float) -> tuple[float, dict[str, float]]:
        """The objective and its terms at the candidate, ``progress`` into the budget; leaves each leaf's gradient behind.

        With annealing the distance is that of a noisy copy, the same one for the whole step; priors see the candidate.
        A relative prior steers, but its price is no part of the objective: its factor changes at each step.
        """
        self.shares, self.progress = [], progress
        self.blur = self._drawn()
        terms = self._gradients(self.pixels.detach())  # the shapes are zero, and need not be drawn up
        fixed = (prior.weight_at(progress) * terms[prior.name] for prior in self.attack.priors if not prior.relative)
        return terms["distance"] + sum(fixed), terms

    def _drawn(self) -> Images | None:
        """What this step adds to the candidate before its update is computed, less and less; None for nothing."""
        if not self.attack.annealing or self.progress >= STILL:
            return None
        deviation = self.attack.annealing * Schedule.COSINE.factor(self.progress)
        drawn = torch.randn(self.pixels.shape, generator=self.generator, dtype=self.pixels.dtype)
        return deviation * drawn.to(self.pixels.device)

    def _gradients(self, images: Images) -> dict[str, float]:
        """Set the gradients of all leaves at this candidate; the prior's factors are those of the step's first evaluation."""
        targets = self._targets()
        seen = self.look(images, self.blur, targets)
        found, slopes = seen.match, seen.prices
        if not self.shares:
            pairs = zip(self.attack.priors, slopes, strict=True)
            self.shares = [prior.share(slope, found.image_gradient, self.progress) for prior, (_, slope) in pairs]
        total, value = found.image_gradient, found.distance
        for share, (price, slope) in zip(self.shares, slopes, strict=True):
            total, value = total + share * slope, value + share * price
        self.pending = value
        self._leave(total, targets, found.target_gradient)
        prices = {prior.name: float(price) for prior, (price, _) in zip(self.attack.priors, slopes, strict=True)}
        return {"distance": float(found.distance), **prices}

    def _leave(self, slope: Images, targets: Targets, target_slope: Tensor | None) -> None:
        direction = self.attack.optimiser.direction
        self.pixels.grad = direction(slope)
        if self.grids is not None and self.shapes is not None:
            self.shapes.grad = direction(self.grids.down(slope))
        if self.logits is not None and target_slope is not None:
            self.logits.grad = pull_back([targets], [self.logits], [target_slope])[0]

    def step(self) -> None:
        """One step of the stepper, then back into the box."""
        for group in self.stepper.param_groups:
            group["lr"] = self.attack.optimiser.step * self.attack.optimiser.schedule.factor(self.progress)
        self.stepper.step(self._closure)
        self._settle()

    @no_grad
    def _settle(self) -> None:
        """Fold the shapes into the pixels, and keep these in the box."""
        images = self.images()
        self.pixels.copy_(images.clamp(0, 1) if self.attack.boxed else images)
        if self.shapes is not None:
            self.shapes.zero_()

    def _closure(self) -> float:
        """What the stepper lowers, with gradients in place; the first call of a step uses what ``evaluate`` found."""
        if self.pending is None:
            self._gradients(self.images())
        assert self.pending is not None
        value, self.pending = self.pending, None
        return float(value)
