"""Fully connected layers on rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from lab.federated.classifier import InputTransform
from lab.federated.networks.base import Network
from lab.federated.tensors import Inputs, Shape
from lab.options.fields import Bounds, Help


class SideBySide(InputTransform):
    """All columns of a row as one vector."""

    def __init__(self, widths: dict[str, int]) -> None:
        super().__init__()
        self.widths = widths

    def forward(self, inputs: Inputs) -> Tensor:
        """Shape (batch, columns)."""
        return torch.cat([inputs[name] for name in self.widths], 1)

    def inverse(self, values: Tensor) -> Inputs:
        """The columns apart."""
        return dict(zip(self.widths, values.split(list(self.widths.values()), 1), strict=True))


@dataclass(frozen=True)
class TableMLP(Network):
    """Two fully connected layers, smooth between them; the algebra reads the row."""

    modality: ClassVar[str] = "rows"
    width: Annotated[int, Bounds(1, 256), Help("units in the hidden layer")] = 64

    def input_transform(self, shape: Shape, /) -> SideBySide:
        """The columns side by side."""
        return SideBySide({name: prod(own) for name, own in shape.items()})

    def modules(self, shape: Shape, classes: int, /) -> tuple[nn.Module, nn.Sequential]:
        """No body."""
        columns = sum(prod(own) for own in shape.values())
        return nn.Identity(), nn.Sequential(nn.Linear(columns, self.width), nn.Sigmoid(), nn.Linear(self.width, classes))
