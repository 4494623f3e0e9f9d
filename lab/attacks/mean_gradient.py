"""Gradient matching after federated averaging, for the price of one local step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import nn

from lab.attacks.gradient_matching import GradientMatching
from lab.gradients import LocalSteps, parameter_gradient
from lab.options import Help
from lab.protocols.base import Protocol
from lab.types import AttackState, Gradients, Images, Observation, Targets


@dataclass(frozen=True)
class MeanGradient(GradientMatching):
    """Gradient matching that takes all local steps for a single one, tau K long.

    The change of the weights is -tau K times the mean of the K gradients that the client met. While tau K is
    small, all of them are nearly the first one, and no step needs to be simulated (Geiping et al. 2020, section 6,
    simulate each). At a large tau, or where steps see few of the pictures, ``GradientMatching`` is right and this is not.
    """

    def reconstruct(
        self, observation: Observation, generator: torch.Generator, first: Images | None = None
    ) -> Iterator[AttackState]:
        """States of gradient matching against one long step."""
        steps = observation.protocol.steps(observation.batch_size)
        as_one = _OneStep(rate=steps.rate * len(steps.rows))
        yield from super().reconstruct(replace(observation, protocol=as_one), generator, first)


@dataclass(frozen=True)
class _OneStep(Protocol):
    """One step on the whole batch, of any length: what no client chooses, but all of a client's steps come to."""

    rate: Annotated[float, Help("the length of the step; of the gradient itself -1")]

    def update(self, model: nn.Module, images: Images, targets: Targets, *, differentiable: bool = False) -> Gradients:
        """-rate dL/dtheta."""
        gradient = parameter_gradient(model, images, targets, differentiable=differentiable)
        return {name: -self.rate * tensor for name, tensor in gradient.items()}

    def steps(self, pictures: int) -> LocalSteps:
        """The one."""
        return LocalSteps((None,), self.rate)

    def mean_gradient(self, update: Gradients) -> Gradients:
        """The gradient itself."""
        return {name: -tensor / self.rate for name, tensor in update.items()}
