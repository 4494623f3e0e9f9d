"""A client's batch statistics, where it sent them, hold candidates: they are as much a function of the pictures as the update.

In train mode a batch norm takes mean and deviation away, and with them what would lead a search: a candidate's own statistics
are as wrong as it is, and its gradient with them. The client's lead it layer by layer (as GradInversion's do, Yin et al. 2021,
who take those of training for the batch's).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from lab.lazy import Tensor, torch

from lab.attacks.matching.priors.base import Prior
from lab.attacks.matching.settings import Matching
from lab.federated.batch_statistics import Statistics, batch_norms, batch_statistics
from lab.federated.observation import Observation
from lab.federated.update_names import spoken_names

Attack = TypeVar("Attack", bound=Matching)

STATISTICS_USED = "The client sent what its batch norms counted ({names}), and candidates are held to it."
VARIANCE_EPSILON = 1e-5
"""Added to variances, as batch norms do."""


@dataclass(frozen=True, eq=False)
class BatchNormStatistics(Prior):
    """How far a candidate's batch statistics are from the client's: means in its deviations, variances by their logarithms."""

    client: Observation = field(kw_only=True)

    def __call__(self, inputs: Any, /) -> Tensor:
        """On average over channels, summed over layers."""
        own, sent = batch_statistics(self.client.network, inputs), self.client.batch_statistics
        return torch.stack([_apart(one, sent[name]) for name, one in own.items() if name in sent]).sum()


def _apart(own: Statistics, sent: Statistics) -> Tensor:
    spread = sent.variance + VARIANCE_EPSILON
    of_mean = ((own.mean - sent.mean).square() / spread).mean()
    return of_mean + ((own.variance + VARIANCE_EPSILON).log() - spread.log()).square().mean()


def with_statistics(attack: Attack, observation: Observation) -> tuple[Attack, str]:
    """The attack with what was sent of the batch norms there are, and a sentence; the attack as it is where nothing was."""
    sent = observation.batch_statistics.keys() & batch_norms(observation.network).keys()
    if not sent:
        return attack, ""
    prior = BatchNormStatistics(weight=1.0, client=observation)
    return replace(attack, priors=(*attack.priors, prior)), STATISTICS_USED.format(names=spoken_names(sorted(sent)))
