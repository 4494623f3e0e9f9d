"""What the graph networks of the catalogue have in common: all but how a layer gathers from neighbours."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import nn, torch

from lab.federated.networks.base import Activation, Network
from lab.federated.tensors import Shape
from lab.options.fields import Bounds, Help

if TYPE_CHECKING:
    from lab.federated.classifier import Classifier
    from lab.federated.graph_layers import Aggregation, AtomsAndBonds


@dataclass(frozen=True)
class GraphNetwork(Network):
    """Base of the networks whose layers gather from neighbours, pooled over the atoms into one fully connected layer."""

    modality: ClassVar[str] = "graphs"
    layers: Annotated[int, Bounds(1, 3), Help("how many bonds far a node sees", "layers")] = 2
    width: Annotated[int, Bounds(1, 1024), Help("numbers of a node in each layer")] = 300
    activation: Annotated[Activation, Help("nonlinearity of the layers")] = Activation.RELU
    bias: Annotated[bool, Help("whether the layers have a bias")] = True
    degree: Annotated[bool, Help("whether a node is told how many bonds it has")] = True
    mean: Annotated[bool, Help("whether the nodes' mean enters the head, or their sum")] = True
    double: Annotated[bool, Help("whether it computes, and sends, in double precision")] = False

    @abstractmethod
    def aggregation(self) -> Aggregation:
        """What a layer is given at a node."""

    def input_transform(self, shape: Shape, /) -> AtomsAndBonds:
        """Kinds and bonds side by side."""
        from lab.federated.graph_layers import AtomsAndBonds

        assert not isinstance(shape, tuple)
        return AtomsAndBonds(shape["atoms"][-1], _attributes(shape))

    def build(self, shape: Shape, classes: int, generator: torch.Generator) -> Classifier:
        """The same weights in either precision."""
        network = super().build(shape, classes, generator)
        return network.double() if self.double else network

    def modules(self, shape: Shape, classes: int, /) -> tuple[nn.Module, nn.Sequential]:
        """Layers of the graph, then one fully connected layer."""
        from lab.federated.graph_layers import GraphBody

        assert not isinstance(shape, tuple)
        kinds, attributes, aggregation = shape["atoms"][-1], _attributes(shape), self.aggregation()
        entering = [kinds + attributes + self.degree, *[self.width] * (self.layers - 1)]
        sizes = [(aggregation.parts * inputs, self.width) for inputs in entering]
        body = GraphBody(kinds, sizes, aggregation, self.activation.layer(), self.bias, self.degree, self.mean, attributes)
        return body, nn.Sequential(nn.Linear(self.width, classes))


def _attributes(shape: Mapping[str, tuple[int, ...]]) -> int:
    """How many numbers a node has beside its kind."""
    return shape["attributes"][-1] if "attributes" in shape else 0
