"""Training as it mostly is: every parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.lazy import torch

from lab.federated.fine_tuning.base import FineTuning

if TYPE_CHECKING:
    from lab.federated.classifier import Classifier


@dataclass(frozen=True)
class Everything(FineTuning):
    """Trains every parameter."""

    def prepared(self, network: Classifier, generator: torch.Generator) -> Classifier:
        """The network as it is."""
        return network
