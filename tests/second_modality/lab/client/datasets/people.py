"""Made-up people, a row each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.lazy import Tensor, functional, torch

from lab.client.batch import Batch
from lab.client.datasets.base import Dataset
from lab.federated.inputs import count as count_of
from lab.federated.tensors import Inputs, Shape
from lab.randomness import stream

KINDS, COLUMNS = 4, 3


@dataclass(frozen=True)
class People(Dataset):
    """Rows of made-up people, drawn from the seed: age, height, income, and the region where they live."""

    modality: ClassVar[str] = "rows"
    is_shipped: ClassVar[bool] = True

    @property
    def class_names(self) -> tuple[str, ...]:
        """What is to be told of them."""
        return ("stays", "leaves", "returns")

    def input_shape(self, size: int) -> Shape:
        """Of one row."""
        return {"numbers": (COLUMNS,), "kind": (KINDS,)}

    def load(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """So many people."""
        return Batch(_people(count, generator), torch.randint(3, (count,), generator=generator))

    def others(self, batch_size: int, count: int, size: int, generator: torch.Generator) -> Inputs:
        """Other people."""
        return _people(count, generator)

    def decoys(self, inputs: Inputs, count: int, generator: torch.Generator) -> Inputs:
        """Other people."""
        return _people(count, stream(count_of(inputs), "other people"))


def _people(count: int, generator: torch.Generator) -> dict[str, Tensor]:
    kinds = torch.randint(KINDS, (count,), generator=generator)
    numbers = torch.rand(count, COLUMNS, generator=generator, dtype=torch.float32)
    return {"numbers": numbers, "kind": functional.one_hot(kinds, KINDS).float()}
