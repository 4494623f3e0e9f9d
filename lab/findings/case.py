"""An update under examination: what several findings measure of it, each thing once."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lab.lazy import Tensor, nn, torch

from lab.errors import LabError
from lab.federated.gradients import parameter_gradient
from lab.federated.observation import Observation
from lab.findings.coarseness import Grid, grid_of, share_left_out
from lab.findings.laws import Law, Violation, laws_of, violation
from lab.randomness import stream

if TYPE_CHECKING:
    from lab.federated.classifier import Classifier

OTHERS = 6
"""Photographs that stand for the unknown ones, in as many trials."""


@dataclass(frozen=True, eq=False)
class Case:
    """What a server saw, on the processor and in double precision."""

    seen: Observation

    @cached_property
    def network(self) -> Classifier:
        """The network as it was given."""
        return deepcopy(self.seen.network).cpu().double()

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Its parameters."""
        return {name: weight.detach() for name, weight in self.network.named_parameters()}

    @cached_property
    def sent(self) -> dict[str, Tensor]:
        """The update as it came."""
        return {name: tensor.detach().cpu().double() for name, tensor in self.seen.update.items()}

    @cached_property
    def gradient(self) -> dict[str, Tensor]:
        """The update as a mean gradient, as far as it can be told by what was said of the client; else as it came."""
        try:
            return {name: tensor.cpu().double() for name, tensor in self.seen.mean_gradient().items()}
        except LabError:
            return self.sent

    @property
    def pictures(self) -> int:
        """As many as were told."""
        return self.seen.batch_size

    @cached_property
    def numbers(self) -> Tensor:
        """All that was sent, one after another."""
        return torch.cat([tensor.flatten() for tensor in self.sent.values()])

    @cached_property
    def others(self) -> list[Tensor]:
        """Batches of photographs as large as the unknown one."""
        from lab.client.datasets.gallery import decoys

        like = torch.zeros(1, *self.seen.image_shape, dtype=torch.float32)
        drawn = decoys(like, 2 * self.pictures + OTHERS, stream(0, "photographs that stand for others")).double()
        orders = (torch.randperm(len(drawn), generator=stream(trial, "which of them")) for trial in range(OTHERS))
        return [drawn[order[: self.pictures]] for order in orders]

    @cached_property
    def gradients_of_others(self) -> list[dict[str, Tensor]]:
        """What clients with other photographs and random labels would send."""
        found: list[dict[str, Tensor]] = []
        for trial, images in enumerate(self.others):
            labels = torch.randint(self.seen.classes, (len(images),), generator=stream(trial, "labels of others"))
            found.append(self.gradient_of(self.network, images, labels))
        return found

    def gradient_of(self, network: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """What a client with these pictures would send, of the parameters that were sent."""
        found = parameter_gradient(network, images, labels, self.seen.loss)
        return {name: tensor.detach() for name, tensor in found.items() if name in self.sent}

    @cached_property
    def laws(self) -> list[Law]:
        """The equations that any gradient of this network obeys."""
        return laws_of(self.network, self.gradients_of_others, self.weights)

    @cached_property
    def violation(self) -> Violation | None:
        """How the update violates them."""
        return violation(self.laws, self.weights, self.gradient)

    @cached_property
    def rounding(self) -> float:
        """What single precision alone leaves of an update's digits: a share of its length.

        A change of weights is the difference of two larger numbers, of which each has but 24 bits.
        """
        if self.seen.protocol.name == "fedsgd":
            return 2.0**-23
        spacing = torch.cat([2.0**-23 * self.weights[name].abs().flatten() for name in self.sent])
        return max(2.0**-23, float(spacing.norm() / self.numbers.norm().clamp_min(1e-300)))

    @cached_property
    def is_coarse(self) -> bool:
        """Whether numbers were left out or rounded to few, so that equations hold for what was meant and not for what came."""
        return self.grid is not None or self.left_out > 0

    @cached_property
    def grid(self) -> Grid | None:
        """What the numbers were rounded to; None where nothing shows."""
        return grid_of(self.seen.update, 0 if self.seen.protocol.name == "fedsgd" else self.rounding)

    @cached_property
    def left_out(self) -> float:
        """The share of numbers that were left out for being small."""
        return share_left_out(self.numbers)

    @cached_property
    def last(self) -> tuple[str, nn.Linear] | None:
        """The layer that makes the logits, where all of it was sent."""
        if self.seen.network.last_linear is None:
            return None
        name, layer = self.seen.network.last_linear
        parts = [f"{name}.weight", *([f"{name}.bias"] if layer.bias is not None else [])]
        return (name, layer) if all(part in self.sent for part in parts) else None
