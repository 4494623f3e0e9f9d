"""What a protocol is: the rule from a client's batch to the update that it sends."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar

from lab.lazy import nn

from lab.errors import LabError
from lab.federated.fine_tuning.base import FineTuning
from lab.federated.fine_tuning.everything import Everything
from lab.federated.gradient_rules import GradientRule, PlainGradient
from lab.federated.gradients import MEAN_CROSS_ENTROPY, LocalSteps
from lab.federated.losses.base import Loss
from lab.federated.number_formats import MixedPrecision, NumberFormat
from lab.federated.tensors import Gradients, Inputs, Targets
from lab.options.catalogue import Entry
from lab.options.fields import Help

EVERYTHING = Everything()


@dataclass(frozen=True)
class Protocol(Entry):
    """Base of all protocols: the client and the server both know the rule and its numbers."""

    kind: ClassVar[str] = "protocol"
    sends_change: ClassVar[bool] = False
    """Whether an update is a change, to be added to the weights, and not a gradient, to be gone against."""
    unknown_setting: ClassVar[str] = "The client's optimiser"
    """What a server guesses that is not told all."""

    loss: Annotated[Loss, Help("what the client minimises")] = field(default=MEAN_CROSS_ENTROPY, kw_only=True)
    computes_in: Annotated[NumberFormat, Help("number format of the client's layers; its weights stay in float32")] = field(
        default=NumberFormat.SINGLE, kw_only=True
    )
    sends_in: Annotated[NumberFormat, Help("number format of the update that is sent")] = field(
        default=NumberFormat.SINGLE, kw_only=True
    )
    sends_statistics: Annotated[bool, Help("send what batch norms in train mode count, as a state dictionary holds it")] = (
        field(default=False, kw_only=True)
    )

    trains: Annotated[FineTuning, Help("what of the network the client trains, which is all that it sends")] = field(
        default=EVERYTHING, kw_only=True
    )

    @abstractmethod
    def update(self, model: nn.Module, inputs: Inputs, targets: Targets, *, differentiable: bool = False) -> Gradients:
        """The update that leaves the client. With ``differentiable`` it stays in the graph of the inputs."""

    @property
    def rule(self) -> GradientRule:
        """The rule by which the client takes a gradient."""
        if self.computes_in is NumberFormat.SINGLE:
            return PlainGradient(self.loss)
        return MixedPrecision(self.loss, self.computes_in)

    def sent(self, update: Gradients) -> Gradients:
        """The update as it arrives. Raises ``LabError`` where its format cannot hold it."""
        return self.sends_in.rounded(update)

    def trained(self, model: nn.Module, inputs: Inputs, targets: Targets, rule: GradientRule) -> Gradients:
        """The update of a client that takes its gradients by another rule; by its own it is ``update``.

        Raises ``LabError`` where the protocol has none but its own.
        """
        raise LabError(
            f"The protocol {self.name} takes its gradients in no other way, and a defence wants one; choose fedsgd or fedavg."
        )

    @abstractmethod
    def steps(self, pictures: int) -> LocalSteps:
        """The protocol step by step, for a batch of so many pictures."""

    @abstractmethod
    def mean_gradient(self, update: Gradients, weights: Gradients) -> Gradients:
        """The update of these weights as an (average) gradient, as label recovery and the algebra read it.

        Raises ``LabError`` where an update is none.
        """

    def server_view(self) -> Protocol:
        """The protocol that a server simulates: in single precision, for nobody can tell what a client's rounding took away."""
        single = NumberFormat.SINGLE
        return self if self.computes_in is self.sends_in is single else replace(self, computes_in=single, sends_in=single)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the server knows of a client and does not simulate, a sentence each."""
        doing = {"computes": self.computes_in, "sends": self.sends_in}
        rounding = [f"{verb} in {kind.value}" for verb, kind in doing.items() if kind is not NumberFormat.SINGLE]
        return (f"The client {' and '.join(rounding)}, and the attack computes in single precision.",) if rounding else ()

    def guesses(self) -> tuple[Protocol, ...]:
        """The protocols that this may be, as far as the server knows; one where it knows all."""
        return (self,)

    def spoken(self, pictures: int) -> str:
        """A guess in the words of the command line."""
        from lab.options.text import to_text

        return to_text(self.steps(pictures).optimiser, nested=True)

    @property
    def is_stepwise(self) -> bool:
        """Whether ``steps`` tells all of how an update comes about."""
        return True

    @property
    def naive(self) -> Protocol:
        """The protocol that a server takes this for which knows of no defence."""
        return self

    @property
    def is_linear(self) -> bool:
        """Whether an update is a sum of gradients, but for what the weights alone tell."""
        return True
