"""Soteria: no gradient for the features that tell most of the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import Tensor, no_grad, torch

from lab.client.defences.base import TrainingDefence
from lab.client.representation import before_last_layer, last_layer
from lab.federated.gradient_rules import ChangedRule, GradientRule
from lab.federated.inputs import tree_map
from lab.federated.tensors import Gradients, Inputs, Targets
from lab.options.fields import Bounds, Help
from lab.randomness import normal_like

if TYPE_CHECKING:
    from torch import nn

PROBES, STEP = 32, 1e-2
"""Random directions by which the features' derivatives are measured, and how far each goes."""


@dataclass(frozen=True)
class Soteria(TrainingDefence):
    """Sends no gradient of the last layer for the features that give the input away most (Sun et al. 2021)."""

    dial_values: ClassVar[tuple[float, ...]] = (0.1, 0.2, 0.4, 0.6, 0.8)

    strength: Annotated[float, Bounds(0.0, 1.0), Help("share of the last layer's inputs whose gradient is left out")] = 0.4

    def training(self, rule: GradientRule, generator: torch.Generator) -> GradientRule:
        """Gradients with zeros in the last layer's columns of the features with the largest |f| / ||df/dx||."""
        return _Masked(self.strength, rule, generator) if self.strength else rule

    def withheld_tensors(self, network: nn.Module) -> tuple[str, ...]:
        """The last layer's weights."""
        return (_defended(network),) if self.strength else ()


def _defended(network: nn.Module) -> str:
    return f"{last_layer(network)[0]}.weight"


class _Masked(ChangedRule):
    """A rule that leaves out the last layer's columns that tell most."""

    def __init__(self, strength: float, rule: GradientRule, generator: torch.Generator) -> None:
        super().__init__(rule, generator)
        self.strength = strength

    def gradient(self, model: nn.Module, weights: Gradients, inputs: Inputs, targets: Targets) -> dict[str, Tensor]:
        """The last layer's gradient without its columns that tell most."""
        found = self.rule.gradient(model, weights, inputs, targets)
        name = _defended(model)
        if name not in found:  # it does not train
            return found
        telling = self._telling(model, weights, inputs)
        left_out = telling.argsort(descending=True)[: round(self.strength * len(telling))]
        return found | {name: found[name].index_fill(1, left_out, 0.0)}

    @no_grad
    def _telling(self, model: nn.Module, weights: Gradients, inputs: Inputs) -> Tensor:
        """|f| / ||df/dx|| of each feature, shape (features,); the norm by differences along random directions."""
        features, square = self._features(model, weights, inputs), 0
        for _ in range(PROBES):
            moved = tree_map(self._moved, inputs)
            square = square + (self._features(model, weights, moved) - features).square()
        return (features.abs() / torch.as_tensor(square).sqrt().clamp_min(1e-12)).sum(0)

    def _features(self, model: nn.Module, weights: Gradients, inputs: Inputs) -> Tensor:
        """What enters the last layer, shape (inputs, features)."""
        seen: list[Tensor] = []

        def look(features: Tensor) -> Tensor:
            seen.append(features.flatten(1, -2).mean(1) if features.dim() > 2 else features)
            return features

        with before_last_layer(model, look):
            torch.func.functional_call(model, dict(weights), (inputs,))
        return seen[-1]

    def _moved(self, tensor: Tensor) -> Tensor:
        return tensor + STEP * normal_like(tensor, self.generator)
