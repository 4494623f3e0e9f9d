"""What a distance between two updates is; zero (or its least value) at equality."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from lab.catalogue import Entry
from lab.types import Gradients


class Distance(Entry):
    """Base of all distances: a scalar that is zero where the candidate's update equals the shared one."""

    kind: ClassVar[str] = "distance"

    @abstractmethod
    def __call__(self, candidate: Gradients, shared: Gradients) -> Tensor:
        """The distance, differentiable in ``candidate``; both are keyed alike."""


def flat(update: Gradients) -> Tensor:
    """All tensors of an update, one after another, as one vector."""
    return torch.cat([tensor.flatten() for tensor in update.values()])
