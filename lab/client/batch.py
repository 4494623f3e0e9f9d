"""What a client has: its private inputs and their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from lab.lazy import torch

from lab.errors import LabError
from lab.federated.inputs import count, moved_to
from lab.federated.tensors import Images, Inputs, Labels


@dataclass(frozen=True, eq=False)
class Batch:
    """The client's private inputs, pictures with pixels in [0, 1] say, and their class numbers."""

    inputs: Inputs
    labels: Labels
    notes: tuple[str, ...] = ()
    """What was made of the inputs and weights given that needs saying, a sentence each."""

    def __len__(self) -> int:
        """How many inputs there are."""
        return count(self.inputs)

    @property
    def images(self) -> Images:
        """The inputs, which are pictures. Raises ``LabError`` where they are none."""
        if isinstance(self.inputs, Mapping):
            raise LabError(f"These inputs are no pictures: they hold {', '.join(self.inputs)}; take ``inputs``.")
        return self.inputs

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return cast("tuple[int, int, int]", tuple(self.images.shape[1:]))

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return replace(self, inputs=moved_to(self.inputs, device), labels=self.labels.to(device))
