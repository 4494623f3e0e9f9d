"""What a prior is: a price on pictures that do not look natural."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from lab.catalogue import Entry
from lab.options import Bounds, Help
from lab.types import Images


@dataclass(frozen=True)
class Prior(Entry):
    """Base of all priors: a weight, and a price that takes any number of channels."""

    kind: ClassVar[str] = "prior"
    weight: Annotated[float, Bounds(0.0, 100.0), Help("how much smoothness counts against the match; 0 turns it off")] = 0.3
    relative: Annotated[
        bool, Help("weigh the prior's gradient against the match's at each step, instead of a fixed factor")
    ] = True

    @abstractmethod
    def __call__(self, images: Images) -> Tensor:
        """The price of these pictures, averaged over pixels; zero for a constant picture."""

    def share(self, prior_gradient: Tensor, data_gradient: Tensor) -> Tensor | float:
        """The factor of the prior's gradient: ``weight``, or ``weight`` times mean|data| / mean|prior|.

        Zero where the prior has no gradient to weigh, as total variation on a constant picture.
        """
        if not self.relative:
            return self.weight
        size = prior_gradient.abs().mean()
        return torch.where(size > 0, self.weight * data_gradient.abs().mean() / size, 0.0)
