"""Graph networks of the catalogue: layers that gather from neighbours, and a sum or mean over the atoms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from lab.federated.classifier import InputTransform
from lab.federated.tensors import Inputs

LEAST = 1e-9
DEGREE_UNIT = 4.0
"""The degree, where it is a feature, is told in these units, as large as a one-hot kind."""


class Aggregation(ABC):
    """What a layer is given at a node, of the whole graph or of one neighbourhood alone."""

    parts: ClassVar[int] = 1
    """How many times as wide as a node's values it is."""

    @abstractmethod
    def aggregate(self, values: Tensor, bonds: Tensor, real: Tensor) -> Tensor:
        """Of all nodes: ``values`` (batch, nodes, width), ``bonds`` (batch, nodes, nodes), ``real`` 1 where a node is."""

    @abstractmethod
    def aggregate_node(self, centre: Tensor, around: Tensor, degree: int, degrees: Tensor) -> Tensor:
        """Of many nodes of one degree: ``centre`` (many, width), ``around`` (many, degree, width), its ``degrees``."""


class Symmetric(Aggregation):
    """D^-1/2 (A + I) D^-1/2 H (Kipf and Welling, ICLR 2017)."""

    def aggregate(self, values: Tensor, bonds: Tensor, real: Tensor) -> Tensor:
        """Each edge weighs as the degrees of both ends say."""
        edges = bonds + torch.diag_embed(real)
        scale = edges.sum(-1, keepdim=True).clamp_min(LEAST).rsqrt()
        return scale * (edges @ (scale * values))

    def aggregate_node(self, centre: Tensor, around: Tensor, degree: int, degrees: Tensor) -> Tensor:
        """A row of ``aggregate``, from the node's neighbourhood alone."""
        weights = ((degree + 1) * (degrees + 1)).to(centre).rsqrt()
        return centre / (degree + 1) + (weights.unsqueeze(-1) * around).sum(1)


class ConcatMean(Aggregation):
    """A node's own values beside the mean of its neighbours' (GraphSAGE: Hamilton et al., NeurIPS 2017)."""

    parts: ClassVar[int] = 2

    def aggregate(self, values: Tensor, bonds: Tensor, real: Tensor) -> Tensor:
        """An isolated node has zeros for its neighbours."""
        return torch.cat([values, bonds @ values / bonds.sum(-1, keepdim=True).clamp_min(1)], -1)

    def aggregate_node(self, centre: Tensor, around: Tensor, degree: int, degrees: Tensor) -> Tensor:
        """A row of ``aggregate``, from the node's neighbourhood alone."""
        return torch.cat([centre, around.sum(1) / max(degree, 1)], -1)


class AtomsAndBonds(InputTransform):
    """A node's kind, and its attributes, beside its row of the adjacency, shape (batch, nodes, kinds + attributes + nodes)."""

    def __init__(self, kinds: int, attributes: int = 0) -> None:
        super().__init__()
        self.kinds, self.attributes = kinds, attributes

    def forward(self, inputs: Inputs) -> Tensor:
        """One tensor."""
        assert not isinstance(inputs, Tensor)
        told = (inputs["attributes"],) if self.attributes else ()
        return torch.cat([inputs["atoms"], *told, inputs["bonds"]], -1)

    def inverse(self, values: Tensor) -> Inputs:
        """Kinds, attributes and bonds apart."""
        described = self.kinds + self.attributes
        atoms, told, bonds = values.tensor_split((self.kinds, described), -1)
        return {"atoms": atoms, "bonds": bonds} | ({"attributes": told} if self.attributes else {})


class GraphBody(nn.Module):
    """Layers that gather, transform and bend, then one vector for the graph."""

    def __init__(
        self,
        kinds: int,
        sizes: list[tuple[int, int]],
        aggregation: Aggregation,
        activation: nn.Module,
        bias: bool,
        degree: bool,
        mean: bool,
        attributes: int = 0,
    ) -> None:
        super().__init__()
        self.attributes = attributes
        self.kinds, self.aggregation, self.degree, self.mean = kinds, aggregation, degree, mean
        self.layers = nn.ModuleList(nn.Linear(inputs, outputs, bias=bias) for inputs, outputs in sizes)
        self.activation = activation

    def forward(self, values: Tensor) -> Tensor:
        """The pooled vector, shape (batch, width), in the weights' precision.

        Nodes of kind 0 throughout only fill a batch up and count for nothing.
        """
        values = values.to(next(self.parameters()))
        features, bonds = values.tensor_split((self.kinds + self.attributes,), -1)
        real = features[..., : self.kinds].sum(-1)
        nodes = self.described(features, bonds.sum(-1))
        for layer in self.layers:
            nodes = self.activation(layer(self.aggregation.aggregate(nodes, bonds, real))) * real.unsqueeze(-1)
        pooled = nodes.sum(1)
        return pooled / real.sum(1, keepdim=True).clamp_min(LEAST) if self.mean else pooled

    def described(self, features: Tensor, degrees: Tensor) -> Tensor:
        """What the first layer gathers of a node: its kind and attributes, and its degree where that is a feature."""
        return torch.cat([features, degrees.unsqueeze(-1) / DEGREE_UNIT], -1) if self.degree else features
