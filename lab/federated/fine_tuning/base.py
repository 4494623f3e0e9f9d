"""What fine-tuning is: the part of a network that a client trains, and all that it sends; the rest stays as it is."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from lab.lazy import torch

from lab.options.catalogue import Entry

if TYPE_CHECKING:
    from lab.federated.classifier import Classifier


class FineTuning(Entry):
    """Base of all ways to train a part of a network; server and client know which."""

    kind: ClassVar[str] = "fine_tuning"

    @abstractmethod
    def prepared(self, network: Classifier, generator: torch.Generator) -> Classifier:
        """A fresh network, given away, in which that alone trains; what is added is drawn from the generator.

        Raises ``LabError`` where it has no such part.
        """
