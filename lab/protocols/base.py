"""What a protocol is: the rule from a client's batch to the update that it sends."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from lab.late import nn

from lab.catalogue import Entry
from lab.gradients import LocalSteps
from lab.types import Gradients, Images, Targets


class Protocol(Entry):
    """Base of all protocols: the client and the server both know the rule and its numbers."""

    kind: ClassVar[str] = "protocol"

    @abstractmethod
    def update(self, model: nn.Module, images: Images, targets: Targets, *, differentiable: bool = False) -> Gradients:
        """What leaves the client. With ``differentiable`` it stays in the graph of ``images``."""

    @abstractmethod
    def steps(self, pictures: int) -> LocalSteps:
        """The rule step by step, for a batch of so many pictures."""

    @abstractmethod
    def mean_gradient(self, update: Gradients) -> Gradients:
        """The update as an (average) gradient, as label recovery and the algebra read it."""
