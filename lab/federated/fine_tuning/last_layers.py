"""Transfer learning: the last layers are trained, and those before them are frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from lab.lazy import torch

from lab.errors import LabError
from lab.federated.fine_tuning.base import FineTuning
from lab.options.fields import Bounds, Help

if TYPE_CHECKING:
    from lab.federated.classifier import Classifier


@dataclass(frozen=True)
class LastLayers(FineTuning):
    """Trains the last layers that have weights, and freezes those before them; 0 trains the fully connected head."""

    layers: Annotated[int, Bounds(0, 1000), Help("that train, the last ones with weights; 0 trains the head", "layers")] = 0

    def prepared(self, network: Classifier, generator: torch.Generator) -> Classifier:
        """The network, all else frozen; one that has fewer layers trains them all. Raises ``LabError`` where it has no head."""
        within = network if self.layers else network.head
        weighty = [module for module in within.modules() if next(module.parameters(recurse=False), None) is not None]
        if not weighty:
            raise LabError("last_layers:layers=0 trains fully connected layers, and this network ends in none; take layers=1.")
        network.requires_grad_(False)
        for module in weighty[-self.layers :]:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_()
        return network
