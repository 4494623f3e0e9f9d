"""MixUp: the client trains on mixtures of two of its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import Tensor, np, torch

from lab.client.defences.base import TrainingDefence
from lab.federated.gradient_rules import ChangedRule, GradientRule
from lab.federated.inputs import rows, zip_map
from lab.federated.mixing import Mixing
from lab.federated.protocols.base import Protocol
from lab.federated.tensors import Gradients, Inputs, Targets
from lab.options.fields import Bounds, Help

if TYPE_CHECKING:
    from torch import nn

MIXED = 2
"""Inputs of which a server tries all ways to mix them."""


@dataclass(frozen=True)
class Mixup(TrainingDefence):
    """Trains on mixtures of two inputs and of their labels (Zhang et al. 2018); a batch of one has nothing to mix with."""

    dial_values: ClassVar[tuple[float, ...]] = (0.1, 0.3, 1.0, 3.0, 10.0)
    least_inputs: ClassVar[int] = 2

    strength: Annotated[float, Bounds(0.0, 100.0), Help("alpha of the mixing weight's Beta(alpha, alpha); 0 mixes nothing")] = (
        1.0
    )

    def training(self, rule: GradientRule, generator: torch.Generator) -> GradientRule:
        """Gradients at w x_i + (1 - w) x_j, where the loss is w times that for y_i and 1 - w times that for y_j."""
        return _Mixed(self.strength, rule, generator) if self.strength else rule

    def server_view(self, protocol: Protocol, pictures: int) -> Protocol:
        """Two inputs are both mixed with each other, or none is; more have too many ways, and so have several steps."""
        is_told = self.strength and pictures == MIXED and len(protocol.steps(pictures).rows) == 1
        return Mixing(protocol, loss=protocol.loss) if is_told else protocol

    def working(self, weights: int, largest: int) -> int:
        """Room for the gradients for either labels."""
        return 2 * weights


class _Mixed(ChangedRule):
    """A rule at mixtures of the inputs, with the loss mixed alike."""

    def __init__(self, strength: float, rule: GradientRule, generator: torch.Generator) -> None:
        super().__init__(rule, generator)
        self.strength = strength

    def gradient(self, model: nn.Module, weights: Gradients, inputs: Inputs, targets: Targets) -> dict[str, Tensor]:
        """One weight a step and a partner for each input, as the paper has it."""
        order = torch.randperm(len(targets), generator=self.generator).to(targets.device)
        seed = int(torch.randint(2**31, (), generator=self.generator))
        weight = float(np.random.default_rng(seed).beta(self.strength, self.strength))
        mixed = zip_map(lambda one, other: weight * one + (1 - weight) * other, inputs, rows(inputs, order))
        own, other = (self.rule.gradient(model, weights, mixed, labels) for labels in (targets, targets[order]))
        return {name: weight * tensor + (1 - weight) * other[name] for name, tensor in own.items()}
