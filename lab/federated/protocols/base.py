"""What a protocol is: the rule from a client's batch to the update that it sends."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from lab.late import nn

from lab.federated.gradients import LocalSteps
from lab.federated.tensors import Gradients, Inputs, Targets
from lab.options.catalogue import Entry


class Protocol(Entry):
    """Base of all protocols: the client and the server both know the rule and its numbers."""

    kind: ClassVar[str] = "protocol"

    @abstractmethod
    def update(self, model: nn.Module, inputs: Inputs, targets: Targets, *, differentiable: bool = False) -> Gradients:
        """What leaves the client. With ``differentiable`` it stays in the graph of the inputs."""

    @abstractmethod
    def steps(self, pictures: int) -> LocalSteps:
        """The rule step by step, for a batch of so many pictures."""

    @abstractmethod
    def mean_gradient(self, update: Gradients) -> Gradients:
        """The update as an (average) gradient, as label recovery and the algebra read it."""
