"""Training graphs in memory, a batch at a time as large as its largest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from lab.client.checkpoints.card import Accuracy, Recipe
from lab.client.samples import Answers, Samples, checked_cut, full_batches
from lab.federated.inputs import tree_map
from lab.federated.tensors import Inputs
from lab.modalities.graphs.building import Graph, batch_of, with_attributes
from lab.randomness import stream

ANSWERED = 32
"""Graphs that are answered at once: the bonds of each are a matrix as wide as the largest."""


@dataclass(frozen=True, eq=False)
class TrainingGraphs(Samples):
    """Graphs with their labels, in a seeded order: files list theirs by class. What is dealt are their numbers."""

    graphs: Sequence[Graph]
    labels: Tensor
    """(graphs,)."""
    atoms: int
    """Kinds of nodes."""
    classes: int
    cut: int
    """Number of the first graph that is kept aside."""
    tables: Sequence[Tensor] = ()
    """Attributes of the nodes of each, shape (nodes, attributes); none where nodes have none."""
    kinds: ClassVar[str] = "graphs"

    @classmethod
    def read(
        cls,
        name: str,
        graphs: Sequence[Graph],
        labels: Sequence[int],
        atoms: int,
        classes: int,
        recipe: Recipe,
        tables: Sequence[Tensor] = (),
    ) -> TrainingGraphs:
        """The last of the seeded order are kept aside. Raises ``LabError`` where they are too few."""
        cut = checked_cut(name, len(graphs), recipe, cls.kinds)
        order = torch.randperm(len(graphs), generator=stream(recipe.seed, "order of graphs")).tolist()
        told = torch.tensor([labels[place] for place in order], dtype=torch.long)
        listed = [tables[place] for place in order] if tables else ()
        return cls([graphs[place] for place in order], told, atoms, classes, cut, listed)

    @property
    def shape(self) -> Mapping[str, tuple[int, ...]]:
        """Of the largest."""
        nodes = max(len(labels) for labels, _ in self.graphs)
        shape = {"atoms": (nodes, self.atoms), "bonds": (nodes, nodes)}
        return shape | ({"attributes": (nodes, self.tables[0].shape[1])} if self.tables else {})

    @property
    def told_shape(self) -> tuple[int, ...]:
        """Nodes of the largest, and kinds."""
        return self.shape["atoms"]

    @property
    def count(self) -> int:
        """How many are trained on."""
        return self.cut

    def batches(self, recipe: Recipe, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """In random order."""
        for numbers in full_batches(self.cut, recipe, generator):
            yield numbers, self.labels[numbers]

    def inputs(self, raw: Tensor) -> Inputs:
        """The graphs of these numbers."""
        batch = batch_of([self.graphs[number] for number in raw.tolist()], self.atoms)
        batch = with_attributes(batch, [self.tables[number] for number in raw.tolist()]) if self.tables else batch
        return tree_map(lambda tensor: tensor.to(raw.device), batch)

    def score(self, answers: Answers) -> float:
        """The share of those kept aside that is classified rightly."""
        parts = torch.arange(self.cut, len(self.graphs), dtype=torch.long).split(ANSWERED)
        right = sum(int((answers(part).argmax(1) == self.labels[part]).sum()) for part in parts)
        return right / (len(self.graphs) - self.cut)

    def told(self, score: float) -> str:
        """As accuracy, beside what the most frequent class would get."""
        kept = self.labels[self.cut :]
        usual = float(torch.bincount(kept).max()) / len(kept)
        return f"{score:.0%} of {len(kept)} held-out graphs are classified rightly (always the same class: {usual:.0%})"

    def grades(self, answers: Answers) -> dict[str, Any]:
        """The accuracy on those kept aside."""
        kept = len(self.graphs) - self.cut
        return {"accuracy": (Accuracy("graphs held out at random", kept, self.score(answers)),)}
