"""DP-SGD: the gradient of each example clipped, and noise on their sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import Tensor, torch

from lab.client.defences.base import TrainingDefence
from lab.federated.gradient_rules import ChangedRule, GradientRule
from lab.federated.inputs import rows
from lab.federated.tensors import Gradients, Inputs, Targets
from lab.options.fields import Bounds, Help
from lab.randomness import normal_like

if TYPE_CHECKING:
    from torch import nn

AT_ONCE = 2**20
"""Numbers of single gradients that are kept at a time; at least one gradient is."""


@dataclass(frozen=True)
class DPSGD(TrainingDefence):
    """Clips each example's gradient in every step and adds noise to their sum (Abadi et al. 2016): the one with a theorem."""

    dial: ClassVar[str] = "multiplier"
    dial_values: ClassVar[tuple[float, ...]] = (0.1, 0.3, 1.0, 3.0, 10.0)

    longest: Annotated[float, Bounds(1e-6, 1e6, log=True), Help("length that an example's gradient may have at most, C")] = 1.0
    multiplier: Annotated[float, Bounds(0.0, 1000.0), Help("deviation of the noise on the sum over C; 0 promises nothing")] = (
        1.0
    )

    @classmethod
    def weakest(cls) -> DPSGD:
        """No noise, and a bound that hardly any gradient reaches."""
        return cls(longest=1e6, multiplier=0.0)

    @classmethod
    def strongest(cls) -> DPSGD:
        """Hardly anything but noise."""
        return cls(longest=1.0, multiplier=1000.0)

    def training(self, rule: GradientRule, generator: torch.Generator) -> GradientRule:
        """1/B (sum_i g_i min(1, C / ||g_i||) + N(0, (sigma C)^2))."""
        return _Private(self, rule, generator)

    def working(self, weights: int, largest: int) -> int:
        """Room for single gradients and their clipped sums."""
        return 2 * max(AT_ONCE, weights) + 2 * largest


class _Private(ChangedRule):
    """A rule that clips each input's gradient and adds noise to their sum."""

    def __init__(self, options: DPSGD, rule: GradientRule, generator: torch.Generator) -> None:
        super().__init__(rule, generator)
        self.options = options

    def gradient(self, model: nn.Module, weights: Gradients, inputs: Inputs, targets: Targets) -> dict[str, Tensor]:
        """The noisy mean of the clipped gradients, or their sum as the loss has it; each counts alike, whatever its class."""
        count, total = len(targets), {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
        for part in torch.arange(count).split(max(1, AT_ONCE // sum(tensor.numel() for tensor in weights.values()))):
            single = self.rule.each(model, weights, rows(inputs, part), targets[part])
            factors = self._factors(single)
            for name, tensor in single.items():
                total[name] += torch.tensordot(factors, tensor, dims=1)
        share = self.length(count) / count
        return {name: share * self._noisy(tensor) for name, tensor in total.items()}

    def _factors(self, single: Gradients) -> Tensor:
        """min(1, C / ||g_i||), shape (inputs,)."""
        lengths = torch.stack([tensor.flatten(1).square().sum(1) for tensor in single.values()]).sum(0).sqrt()
        return (self.options.longest / lengths.clamp_min(1e-30)).clamp_max(1.0)

    def _noisy(self, total: Tensor) -> Tensor:
        return total + self.options.multiplier * self.options.longest * normal_like(total, self.generator)
