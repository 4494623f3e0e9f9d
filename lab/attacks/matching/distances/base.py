"""What a distance between two updates is; zero (or its least value) at equality."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from lab.lazy import Tensor, no_grad, torch

from lab.federated.tensors import Gradients
from lab.options.catalogue import Entry

ValueAndGradient = Callable[[Gradients], tuple[Tensor, Gradients]]
"""From a candidate's update to the distance D and v = dD/dg."""


@dataclass(frozen=True, eq=False)
class Blend:
    """v = dD/dg as a recipe: v_l = own_l g_l - other_l g*_l for each tensor l, not yet written down."""

    own: list[float]
    other: list[float]
    length: float
    """|v|, from inner products: where v is a small difference of long vectors, its order of magnitude."""

    def of(self, candidate: Gradients, shared: Gradients) -> Gradients:
        """The derivative v itself, tensor by tensor."""
        shares = zip(candidate.items(), self.own, self.other, strict=True)
        return {name: (tensor * own).sub_(shared[name], alpha=other) for (name, tensor), own, other in shares}


Blender = Callable[[Gradients], tuple[Tensor, Blend]]
"""From a candidate's update to the distance D and v = dD/dg as a blend."""


class Distance(Entry):
    """Base of all distances: a scalar that is zero where the candidate's update equals the shared one."""

    kind: ClassVar[str] = "distance"

    @abstractmethod
    def __call__(self, candidate: Gradients, shared: Gradients) -> Tensor:
        """The distance, differentiable in ``candidate``; both are keyed alike."""

    def value_and_gradient(self, candidate: Gradients, shared: Gradients) -> tuple[Tensor, Gradients]:
        """The distance D and its derivative v = dD/dg at ``candidate``, outside any graph: blended where v is a blend.

        A closed form of another kind may override it.
        """
        blender = self.blender(shared)
        if blender is not None:
            return _written(blender, candidate, shared)
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in candidate.items()}
        value = self(leaves, shared)
        directions = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
        return value.detach(), dict(zip(leaves, directions, strict=True))

    def against(self, shared: Gradients) -> ValueAndGradient:
        """``value_and_gradient`` for one shared update; what depends on that alone may be computed once."""
        blender = self.blender(shared)
        if blender is not None:
            return lambda candidate: _written(blender, candidate, shared)
        return lambda candidate: self.value_and_gradient(candidate, shared)

    def blender(self, shared: Gradients) -> Blender | None:
        """D and v as a blend of both updates, for distances whose v is one; None for the others."""
        return None


@no_grad
def _written(blender: Blender, candidate: Gradients, shared: Gradients) -> tuple[Tensor, Gradients]:
    """D and v with the blend written down."""
    value, blend = blender(candidate)
    return value, blend.of(candidate, shared)


def balance(shared: Gradients, squares: list[float]) -> list[float]:
    """A weight for each tensor's square: min(1, its share of the parameters / its share of the shared square length).

    So weighted, no tensor of the shared update is louder than its number of parameters; quieter ones stay as they are.
    """
    sizes = [tensor.numel() for tensor in shared.values()]
    mean = sum(squares) / sum(sizes)
    fair = [size * mean for size in sizes]
    return [own / square if square > own else 1.0 for own, square in zip(fair, squares, strict=True)]
