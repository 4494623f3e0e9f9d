"""A distance on what an update of low rank tells: the singular directions that were sent."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Tensor, torch

from lab.attacks.matching.partial_distance import ObservedPart, PartialDistance
from lab.federated.singular_values import rank_of
from lab.federated.tensors import Gradients

RANK_TOLERANCE = 1e-5
"""A singular value that is rounding alone, as a share of the largest."""


@dataclass(frozen=True)
class SentDirections(PartialDistance):
    """Another distance, blind to what of the candidate's matrices lies across all directions that were sent.

    The nearest matrix of rank r is U S V^T with the leading singular vectors of G, so that G V = U S and U^T G = S V^T: what of
    a candidate has to do with U or V is told, and (1 - U U^T) G (1 - V V^T), which was left out, is not.
    """

    def observed_part(self, shared: Gradients) -> ObservedPart:
        """The part that has to do with the directions sent."""
        return _Directions(shared)


class _Directions(ObservedPart):
    """Of each matrix the rows and columns that were sent, as orthonormal bases."""

    def __init__(self, shared: Gradients) -> None:
        self.bases = {name: _bases(tensor.flatten(1)) for name, tensor in shared.items() if tensor.dim() > 1}

    def restrict(self, candidate: Gradients) -> Gradients:
        """G - (1 - U U^T) G (1 - V V^T); a vector as it is."""
        return {name: self._projected(name, tensor) for name, tensor in candidate.items()}

    def pull_back(self, gradient: Gradients, part: Gradients) -> Gradients:
        """A projection is its own transpose."""
        return self.restrict(gradient)

    def _projected(self, name: str, tensor: Tensor) -> Tensor:
        if name not in self.bases:
            return tensor
        left, right = self.bases[name]
        matrix = tensor.flatten(1)
        across = matrix - left @ (left.T @ matrix)
        return (matrix - across + (across @ right) @ right.T).view(tensor.shape)


def _bases(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """U and V, shapes (rows, rank) and (columns, rank)."""
    left, sizes, right = torch.linalg.svd(matrix, full_matrices=False)
    rank = rank_of(sizes, RANK_TOLERANCE)
    return left[:, :rank], right[:rank].T
