"""PRECODE: a variational bottleneck before the last layer, through which a client trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import Tensor, torch

from lab.client.defences.base import TrainingDefence
from lab.errors import LabError
from lab.federated.gradient_rules import ChangedRule, GradientRule
from lab.federated.gradients import gradient_wrt
from lab.federated.tensors import Gradients, Inputs, Targets
from lab.options.fields import Bounds, Help
from lab.randomness import normal_like

if TYPE_CHECKING:
    from torch import nn

NO_PLACE = (
    "This network has no fully connected layer at its end, before which precode puts its bottleneck; take another defence."
)


@dataclass(frozen=True)
class Precode(TrainingDefence):
    """Trains through a code drawn by chance before the last layer, so that gradients are random (Scheliga et al. 2022)."""

    dial: ClassVar[str] = "size"
    dial_values: ClassVar[tuple[float, ...]] = (256, 128, 64, 32, 16)

    size: Annotated[int, Bounds(0, 1024), Help("numbers of the code; 0 leaves the bottleneck out")] = 64
    divergence: Annotated[float, Bounds(0.0, 1.0), Help("weight of the code's divergence from standard normal in the loss")] = (
        1e-3
    )

    def extended(self, head: nn.Sequential) -> nn.Sequential:
        """The head with encoder, code and decoder before its last layer. Raises ``LabError`` where there is none."""
        from torch import nn

        from lab.federated.bottleneck import with_bottleneck

        if not self.size:
            return head
        if not len(head) or not isinstance(head[-1], nn.Linear):
            raise LabError(NO_PLACE)
        return with_bottleneck(head, self.size)

    def training(self, rule: GradientRule, generator: torch.Generator) -> GradientRule:
        """Gradients of L + beta KL, with a new code for each input in each step."""
        return _Drawn(self.divergence, rule, generator) if self.size else rule

    def withheld_tensors(self, network: nn.Module) -> tuple[str, ...]:
        """The bottleneck's layers, and the weights of those behind it: what enters them is drawn by chance."""
        from lab.federated.bottleneck import bottlenecks

        own: list[str] = []
        for found in bottlenecks(network.get_submodule("head")):  # type: ignore[arg-type]
            own += [f"head.{name}.{part}" for name in (found.encoder, found.decoder) for part in ("weight", "bias")]
            own += [f"head.{name}.weight" for name in found.above]
        return tuple(name for name in own if name in dict(network.named_parameters()))

    def working(self, weights: int, largest: int) -> int:
        """Room for the gradient of the divergence."""
        return weights + largest


class _Drawn(ChangedRule):
    """A rule with codes drawn by chance, and the gradient of their divergence added."""

    def __init__(self, divergence: float, rule: GradientRule, generator: torch.Generator) -> None:
        super().__init__(rule, generator)
        self.divergence = divergence

    def gradient(self, model: nn.Module, weights: Gradients, inputs: Inputs, targets: Targets) -> dict[str, Tensor]:
        """That of the loss with codes drawn by chance, and that of their divergence."""
        from lab.federated.bottleneck import sampling

        with sampling(model, lambda mean: normal_like(mean, self.generator)):
            found = self.rule.gradient(model, weights, inputs, targets)
        if not self.divergence:
            return found
        for name, tensor in self._of_divergence(model, weights, inputs).items():
            found[name] = torch.add(found[name], tensor, alpha=self.divergence * self.length(len(targets)))
        return found

    def _of_divergence(self, model: nn.Module, weights: Gradients, inputs: Inputs) -> dict[str, Tensor]:
        """The gradient of the mean divergence."""
        from lab.federated.bottleneck import recording_parameters, total_divergence

        leaves, told = {name: tensor.detach().requires_grad_() for name, tensor in weights.items()}, list[Tensor]()
        with recording_parameters(model, told):
            torch.func.functional_call(model, leaves, (inputs,))
        return gradient_wrt(total_divergence(told).mean(), leaves)
