"""What a client sends that mixes two inputs pairwise (MixUp), as a server simulates it that has its code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from lab.lazy import nn

from lab.federated.gradients import LocalSteps
from lab.federated.inputs import tree_map, zip_map
from lab.federated.protocols.base import Protocol
from lab.federated.tensors import Gradients, Inputs, Targets
from lab.options.fields import Help
from lab.options.words import rounded

WEIGHTS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""That are tried; the first mixes nothing. By w and by 1 - w two inputs make the same two mixtures."""


@dataclass(frozen=True)
class Mixing(Protocol):
    """Two inputs, each mixed with the other: w x_1 + (1 - w) x_2 and w x_2 + (1 - w) x_1, and their labels as well."""

    unknown_setting: ClassVar[str] = "How the client mixed its two inputs"

    inner: Annotated[Protocol, Help("what is sent of the mixtures")]
    weight: Annotated[float, Help("w, the share of each input in its own mixture; 1 mixes nothing")] = 1.0
    told: Annotated[bool, Help("whether the server knows w; if not, it tries some")] = False

    @property
    def naive(self) -> Protocol:
        """Without mixing."""
        return self.inner

    def update(self, model: nn.Module, inputs: Inputs, targets: Targets, *, differentiable: bool = False) -> Gradients:
        """What w of the own labels and 1 - w of the others' send together; linear in the labels, as losses are."""
        share, others = self.weight, tree_map(lambda tensor: tensor.flip(0), inputs)
        mixed = zip_map(lambda one, other: share * one + (1 - share) * other, inputs, others)
        own = self.inner.update(model, mixed, targets, differentiable=differentiable)
        if share == 1:
            return own
        other = self.inner.update(model, mixed, targets.flip(0), differentiable=differentiable)
        return {name: share * tensor + (1 - share) * other[name] for name, tensor in own.items()}

    def steps(self, pictures: int) -> LocalSteps:
        """The client's steps, each on mixtures."""
        return self.inner.steps(pictures)

    def mean_gradient(self, update: Gradients, weights: Gradients) -> Gradients:
        """The mean gradient of the mixtures."""
        return self.inner.mean_gradient(update, weights)

    def guesses(self) -> tuple[Protocol, ...]:
        """The rule with each weight; the client draws it by chance, and as often mixes nothing."""
        return (self,) if self.told else tuple(replace(self, weight=weight, told=True) for weight in WEIGHTS)

    def spoken(self, pictures: int) -> str:
        """How much of the other is in each."""
        return f"a share of {rounded(1 - self.weight, 2)} of the other" if self.weight < 1 else "none of the other"

    @property
    def is_stepwise(self) -> bool:
        """Where nothing is mixed."""
        return self.weight == 1
