"""Dropout before the last layer while the client trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import Tensor, torch

from lab.client.defences.base import TrainingDefence
from lab.client.representation import before_last_layer
from lab.federated.gradient_rules import ChangedRule, GradientRule
from lab.federated.tensors import Gradients, Inputs, Targets
from lab.options.fields import Bounds, Help
from lab.randomness import uniform_like

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Dropout(TrainingDefence):
    """Switches features before the last layer off by chance while the client trains; the server does not see which."""

    dial_values: ClassVar[tuple[float, ...]] = (0.1, 0.3, 0.5, 0.7, 0.9)

    strength: Annotated[float, Bounds(0.0, 0.99), Help("chance of each feature of each input to be off in a step")] = 0.5

    def training(self, rule: GradientRule, generator: torch.Generator) -> GradientRule:
        """Gradients of m f / (1 - p) in place of the features f, each m one with chance 1 - p, else zero."""
        return _Dropped(self.strength, rule, generator) if self.strength else rule


class _Dropped(ChangedRule):
    """A rule with features off at random, new ones in every step."""

    def __init__(self, strength: float, rule: GradientRule, generator: torch.Generator) -> None:
        super().__init__(rule, generator)
        self.strength = strength

    def gradient(self, model: nn.Module, weights: Gradients, inputs: Inputs, targets: Targets) -> dict[str, Tensor]:
        """New features are off in every step."""
        with before_last_layer(model, self._dropped):
            return self.rule.gradient(model, weights, inputs, targets)

    def _dropped(self, features: Tensor) -> Tensor:
        return features * (uniform_like(features, self.generator) >= self.strength) / (1 - self.strength)
