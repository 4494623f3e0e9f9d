"""Molecules that the lab ships, written down from what every chemistry book says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import torch

from lab.client.batch import Batch
from lab.client.datasets.base import Dataset
from lab.errors import LabError
from lab.federated.tensors import Inputs, Shape
from lab.modalities.graphs.building import Graph, batch_of, graphs_of
from lab.modalities.graphs.line_notation import ATOMS, parse
from lab.options.fields import Choices, Help

if TYPE_CHECKING:
    from lab.client.checkpoints.card import Recipe
    from lab.client.samples import Samples

MOLECULES = {
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "caffeine": "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "nicotine": "CN1CCCC1c1cccnc1",
    "ibuprofen": "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "vanillin": "COc1cc(C=O)ccc1O",
    "nitrobenzene": "c1ccccc1N(=O)O",
    "glycerol": "OCC(O)CO",
    "dopamine": "NCCc1ccc(O)c(O)c1",
    "urea": "NC(=O)N",
    "alanine": "CC(N)C(=O)O",
    "naphthalene": "c1ccc2ccccc2c1",
    "taurine": "NCCS(=O)(=O)O",
    "chlorobenzene": "Clc1ccccc1",
    "citric acid": "OC(=O)CC(O)(C(=O)O)CC(=O)O",
    "adrenaline": "CNCC(O)c1ccc(O)c(O)c1",
}
"""Common knowledge of chemistry, in Weininger's line notation; drawn by hand for the lab, without hydrogen."""
NAMES = tuple(MOLECULES)
RINGS = ("chain", "ring")
"""What a phone learns to tell of molecules."""


@dataclass(frozen=True)
class Molecules(Dataset):
    """Sixteen well-known molecules, written down by hand: aspirin, caffeine, nicotine and others, without hydrogen."""

    modality: ClassVar[str] = "graphs"
    is_shipped: ClassVar[bool] = True
    is_trainable: ClassVar[bool] = True
    first: Annotated[str, Choices(NAMES), Help("the first private molecule; a larger batch takes those after it")] = NAMES[0]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Whether a molecule has a ring."""
        return RINGS

    def input_shape(self, size: int) -> Shape:
        """Of the largest."""
        nodes = max(len(kinds) for kinds, _ in _graphs())
        return {"atoms": (nodes, len(ATOMS)), "bonds": (nodes, nodes)}

    def check_available(self, count: int, size: int) -> None:
        """So many molecules ship with the lab."""
        if count > len(NAMES):
            raise LabError(f"molecules: there are {len(NAMES)}, not {count}; take a smaller batch or another data set.")

    def load(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """So many from ``first`` on, going round, filled up to the largest of them."""
        self.check_available(count, size)
        start = NAMES.index(self.first)
        graphs = [_graphs()[(start + step) % len(NAMES)] for step in range(count)]
        labels = [int(has_ring(graph)) for graph in graphs]
        return Batch(batch_of(graphs, len(ATOMS)), torch.tensor(labels, dtype=torch.long))

    def samples(self, recipe: Recipe) -> Samples:
        """All sixteen."""
        from lab.client.training_graphs import TrainingGraphs

        labels = [int(has_ring(graph)) for graph in _graphs()]
        return TrainingGraphs.read(self.name, _graphs(), labels, len(ATOMS), len(RINGS), recipe)

    def recipe(self) -> Recipe:
        """What suits so few."""
        from lab.client.checkpoints.card import Recipe, Rule

        return Recipe(
            epochs=40, batch_size=4, rule=Rule.ADAMW, learning_rate=3e-3, weight_decay=0, shift=0, flip=False, held_out=4
        )

    def decoys(self, inputs: Inputs, count: int, generator: torch.Generator) -> Inputs:
        """Molecules in any order, in the private graphs' alphabet; where too few are left, with every atom the next kind."""
        from lab.modalities.graphs.comparison import mapping

        assert not isinstance(inputs, torch.Tensor)
        kinds, own = inputs["atoms"].shape[-1], graphs_of(inputs)
        order = torch.randperm(len(NAMES), generator=generator).tolist()
        graphs = [
            ([(kind + turn) % kinds for kind in _graphs()[place][0]], _graphs()[place][1])
            for turn in range(kinds)
            for place in order
        ]
        others = zip(graphs, graphs_of(batch_of(graphs, kinds)), strict=True)
        new = (graph for graph, other in others if all(mapping(other, private) is None for private in own))
        return batch_of(list(islice(new, count)), kinds)


def has_ring(graph: Graph) -> bool:
    """Of a graph in one piece: it has as many bonds as atoms."""
    kinds, bonds = graph
    return len(bonds) >= len(kinds)


@cache
def _graphs() -> tuple[Graph, ...]:
    return tuple(parse(line) for line in MOLECULES.values())
