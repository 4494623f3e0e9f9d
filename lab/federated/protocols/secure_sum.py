"""Secure aggregation (Bonawitz et al. 2017): several clients train, and the server sees the mean of their updates alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated

from lab.lazy import nn, torch

from lab.errors import LabError
from lab.federated.gradient_rules import GradientRule
from lab.federated.gradients import LocalSteps
from lab.federated.inputs import rows
from lab.federated.losses.base import Reduction
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.tensors import Gradients, Inputs, Targets
from lab.options.fields import Bounds, Help


@dataclass(frozen=True)
class SecureSum(FedAvg):
    """Clients share the batch out, each trains as in federated averaging, and masks hide all but the mean of their updates.

    That the masks cancel is played in a federation (``lab/federation/masking.py``); what is left is this mean, of losses that
    are sums the sum. A sum of one client is its update.
    """

    clients: Annotated[int, Bounds(1, 100), Help("who share the batch out evenly; no more than there are pictures")] = 2

    @property
    def alone(self) -> FedAvg:
        """What each client does."""
        return FedAvg(**{field.name: getattr(self, field.name) for field in fields(FedAvg)})

    def update(self, model: nn.Module, inputs: Inputs, targets: Targets, *, differentiable: bool = False) -> Gradients:
        """1/n sum_k (theta_k - theta_0), each client's own way from the same weights."""
        return self._together(
            inputs, targets, lambda own, labels: self.alone.update(model, own, labels, differentiable=differentiable)
        )

    def trained(self, model: nn.Module, inputs: Inputs, targets: Targets, rule: GradientRule) -> Gradients:
        """The mean of what clients send that take their gradients by another rule."""
        return self._together(inputs, targets, lambda own, labels: self.alone.trained(model, own, labels, rule))

    def _together(self, inputs: Inputs, targets: Targets, update: Callable[[Inputs, Targets], Gradients]) -> Gradients:
        shares = self._shares(len(targets))
        found = [update(rows(inputs, share), targets[share]) for share in shares]
        weight = 1.0 if self.loss.reduction is Reduction.SUM else 1 / len(shares)
        return {name: weight * sum((one[name] for one in found[1:]), found[0][name]) for name in found[0]}

    def _shares(self, pictures: int) -> list[slice]:
        """The pictures of each client. Raises ``LabError`` where they cannot be shared out evenly."""
        clients = min(self.clients, pictures)
        if pictures % clients:
            raise LabError(
                f"{pictures} pictures cannot be shared out evenly among {clients} clients; give a batch of {clients}, "
                f"{2 * clients}, {3 * clients} ..., or other clients."
            )
        size = pictures // clients
        return [slice(start, start + size) for start in range(0, pictures, size)]

    def steps(self, pictures: int) -> LocalSteps:
        """As if all stood at the same weights before each step, which is so before the first."""
        shares = self._shares(pictures)
        own = self.alone.steps(pictures // len(shares))
        starts = torch.tensor([share.start for share in shares], dtype=torch.long)
        together = (None if each is None else (starts[:, None] + each).flatten() for each in own.rows)
        return LocalSteps(tuple(together), self.learning_rate, self.optimiser, self.loss)
