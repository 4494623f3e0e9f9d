"""LoRA: a pair of narrow matrices beside each fully connected layer is trained, and all weights are frozen."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Annotated

from lab.lazy import torch

from lab.errors import LabError
from lab.federated.fine_tuning.base import FineTuning
from lab.options.fields import Bounds, Help

if TYPE_CHECKING:
    from lab.federated.classifier import Classifier

NO_HEAD = "low_rank_pairs train beside fully connected layers, and this network ends in none; take last_layers:layers=1."


@dataclass(frozen=True)
class LowRankPairs(FineTuning):
    """Trains a pair B A beside each weight matrix W of the head: y = W x + b + B A x (LoRA, Hu et al. 2021)."""

    rank: Annotated[int, Bounds(1, 1024), Help("numbers between the two matrices of a pair")] = 4
    first_round: Annotated[bool, Help("B is still zero, as before any training, and tells nothing of what A saw")] = False

    def prepared(self, network: Classifier, generator: torch.Generator) -> Classifier:
        """The network with pairs in its head. Raises ``LabError`` where that has no fully connected layer."""
        from torch import nn

        from lab.federated.low_rank import LowRankLinear

        network.requires_grad_(False)
        layers = {name: layer for name, layer in network.head.named_children() if isinstance(layer, nn.Linear)}
        if not layers:
            raise LabError(NO_HEAD)
        for name, layer in layers.items():
            drawn = [torch.randn(shape, generator=generator, dtype=torch.float32) for shape in self._shapes(layer.weight)]
            down, up = (nn.Parameter(matrix.to(layer.weight) / sqrt(matrix.shape[1])) for matrix in drawn)
            if self.first_round:
                up.detach().zero_()
            network.head.add_module(name, LowRankLinear(layer.weight, layer.bias, down, up, 1.0))
        return network

    def _shapes(self, weight: torch.Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
        """Of A and of B."""
        outputs, inputs = weight.shape
        return (self.rank, inputs), (outputs, self.rank)
