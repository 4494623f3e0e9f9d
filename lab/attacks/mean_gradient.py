"""Gradient matching after federated averaging, for the price of one local step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from lab.attacks.gradient_matching import GradientMatching
from lab.protocols.fedsgd import FedSGD
from lab.types import AttackState, Images, Observation


@dataclass(frozen=True)
class MeanGradient(GradientMatching):
    """Gradient matching that takes all local steps for one: it compares the mean gradient along them.

    The change of the weights over -tau K is the mean of the K gradients that the client met. While tau K is
    small, all of them are nearly the first one, and no step needs to be simulated (Geiping et al. 2020, section 6,
    simulate each). At a large tau, or where steps see few of the pictures, ``GradientMatching`` is right and this is not.
    """

    def reconstruct(
        self, observation: Observation, generator: torch.Generator, first: Images | None = None
    ) -> Iterator[AttackState]:
        """States of gradient matching on the mean gradient; distances are to that, not to the change of the weights."""
        mean = observation.protocol.mean_gradient(observation.update)
        yield from super().reconstruct(replace(observation, protocol=FedSGD(), update=mean), generator, first)
