"""What a prior is: a penalty on inputs that do not look natural, smooth pictures say."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from lab.lazy import Tensor, torch

from lab.federated.inputs import as_in, as_mapping, mean_magnitude, tree_map
from lab.federated.tensors import IMAGES, Inputs
from lab.options.catalogue import Entry
from lab.options.fields import Bounds, Help


@dataclass(frozen=True)
class Prior(Entry):
    """Base of all priors: a weight, and a penalty that takes any number of channels."""

    kind: ClassVar[str] = "prior"
    modality: ClassVar[str] = IMAGES
    """What it knows: an entry of ``lab/modalities``."""
    weight: Annotated[float, Bounds(0.0, 100.0), Help("how much smoothness counts against the match; 0 turns it off")] = 0.3
    relative: Annotated[
        bool, Help("weigh the prior's gradient against the match's at each step, instead of a fixed factor")
    ] = True
    fade: Annotated[float, Bounds(0.001, 1.0, log=True), Help("what is left of the weight at the end of the budget")] = 1.0

    def weight_at(self, progress: float) -> float:
        """The weight at ``progress`` in [0, 1] of the budget: it shrinks by the same factor at each step."""
        return self.weight * self.fade**progress

    @abstractmethod
    def __call__(self, inputs: Any, /) -> Tensor:
        """The penalty of inputs of its modality, on average over their numbers; zero for a constant picture."""

    def value_and_gradient(self, inputs: Any, /) -> tuple[Tensor, Any]:
        """The penalty R and dR/dx, outside any graph; a closed form may override it."""
        leaf = tree_map(lambda tensor: tensor.detach().requires_grad_(), inputs)
        value = self(leaf)
        found = torch.autograd.grad(value, list(as_mapping(leaf).values()))
        return value.detach(), as_in(inputs, dict(zip(as_mapping(leaf), found, strict=True)))

    def factor(self, prior_gradient: Inputs, data_gradient: Inputs, progress: float = 0.0) -> Tensor | float:
        """The factor of the prior's gradient: its weight by now, or that times mean|data| / mean|prior|.

        Zero where the prior has no gradient to weigh, as total variation on a constant picture.
        """
        if not self.relative:
            return self.weight_at(progress)
        size = mean_magnitude(prior_gradient)
        return torch.where(size > 0, self.weight_at(progress) * mean_magnitude(data_gradient) / size, 0.0)
