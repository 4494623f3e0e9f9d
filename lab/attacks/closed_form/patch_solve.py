"""All patches at once from G^T X = dL/dW: least squares that trust each direction of G as far as its digits reach.

Where G's singular values stand well above the noise the solution is that of plain least squares. Directions that noise
drowns, and those that G lacks (fewer numbers to a token than patches; one or two that LayerNorm takes away), are chosen so
that the picture is smooth: the likeliest picture under normal noise of the size that is seen, and normal differences between
neighbouring pixels,

    |G^T X - dL/dW|^2 / s^2  +  |differences of x|^2 / NEIGHBOUR_DEVIATION^2  +  |x - grey|^2 / PIXEL_DEVIATION^2.

G is noisy, too, which makes G G^T too large by width times the noise's variance; so much is taken off again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lab.lazy import Float, Tensor

from lab.attacks.closed_form.patch_equations import Grid, PatchEquations, Patches
from lab.federated.classifier import Normalise
from lab.federated.singular_values import rank_of
from lab.federated.tensors import Images

NEIGHBOUR_DEVIATION, PIXEL_DEVIATION = 0.06, 0.3
"""Deviations, in pixels from 0 to 1, of neighbours from each other and of all from grey: photographs have about these."""
RANK_TOLERANCE = 1e-12
"""A singular value below this share of the largest is none: double precision tells no more."""
MAX_ITERATIONS = 300
TOLERANCE = 1e-7
ROUNDING_FLOOR = 1e-13
"""Double precision makes an equation no truer than to this share of the largest number."""


@dataclass(frozen=True, eq=False)
class PatchSolution:
    """The picture, and what the equations say of it."""

    grid: Grid
    picture: Images
    """Pixels, not clipped."""
    determined: int
    """Directions of the patches that the equations tell better than the guess that a photograph is smooth."""
    condition: float
    """Largest over smallest singular value of G among those."""
    noise: float
    """Deviation of the noise on a number of dL/dW, over that of the numbers themselves."""
    residual: float
    """||G^T X - dL/dW|| / ||dL/dW||."""


def solve(equations: PatchEquations, normalise: Normalise) -> PatchSolution:
    """The likeliest picture that the equations allow; ``normalise`` says what entered the network for which pixels."""
    grid, tokens = equations.grid, equations.token_gradients
    scale = _columns(normalise.std, grid)
    middle = ((0.5 - _columns(normalise.mean, grid)) / scale).expand(grid.patches, -1)
    rest = (equations.weight_gradient - tokens.T @ middle) * scale  # G^T Z for Z = pixels - 0.5
    left, sizes, right = torch.linalg.svd(tokens)
    rank = len(sizes)
    told = right[:rank] @ rest
    noise = _noise(equations, rest, rest - right[:rank].T @ told, rank_of(sizes, RANK_TOLERANCE))
    squares = torch.zeros(grid.patches, dtype=torch.float64)
    squares[:rank] = (sizes.square() - tokens.shape[1] * equations.deviation**2).clamp_min(0)
    pixels = _System(grid, left, squares / noise**2).solve(left[:, :rank] @ (sizes[:, None] * told) / noise**2)
    picture = grid.joined(pixels) + 0.5
    believed = squares > noise**2 / PIXEL_DEVIATION**2
    kept = sizes[believed[:rank]]
    found = tokens.T @ pixels
    return PatchSolution(
        grid,
        picture,
        determined=int(believed.sum()),
        condition=float(kept.max() / kept.min()) if len(kept) else float("inf"),
        noise=noise / max(float(rest.square().mean().sqrt()), 1e-300),
        residual=float((found - rest).norm() / (equations.weight_gradient * scale).norm().clamp_min(1e-300)),
    )


def _columns(by_channel: Tensor, grid: Grid) -> Float[Tensor, " numbers"]:
    """A number for each channel as one for each number of a patch."""
    return by_channel.detach().to("cpu", torch.float64).flatten().repeat_interleave(grid.height * grid.width)


def _noise(equations: PatchEquations, rest: Tensor, unexplained: Tensor, rank: int) -> float:
    """The deviation of an equation from what it should say: by what no picture explains, else by the check of the bias."""
    width, numbers = rest.shape
    if rank < min(width, equations.grid.patches + 1):
        seen = (float(unexplained.square().sum()) / ((width - rank) * numbers)) ** 0.5
    else:
        seen = equations.deviation * (1 + equations.grid.patches * PIXEL_DEVIATION**2) ** 0.5
    return max(seen, ROUNDING_FLOOR * float(rest.abs().max()), 1e-300)


class _System:
    """(G G^T / s^2 + the priors) Z = right-hand side, by conjugate gradients in the basis where G is diagonal."""

    def __init__(self, grid: Grid, left: Float[Tensor, "patches patches"], precisions: Float[Tensor, " patches"]) -> None:
        self.grid, self.left, self.precisions = grid, left, precisions
        self.inverse = 1 / (precisions + 4 / NEIGHBOUR_DEVIATION**2 + 1 / PIXEL_DEVIATION**2)

    def apply(self, patches: Patches) -> Patches:
        """What the unknowns are multiplied by."""
        told = self.left @ (self.precisions[:, None] * (self.left.T @ patches))
        return (
            told + self.grid.cut(_roughness(self.grid.joined(patches))) / NEIGHBOUR_DEVIATION**2 + patches / PIXEL_DEVIATION**2
        )

    def precondition(self, patches: Patches) -> Patches:
        """Nearly the inverse of that: neighbours are taken for strangers."""
        return self.left @ (self.inverse[:, None] * (self.left.T @ patches))

    def solve(self, right_hand_side: Patches) -> Patches:
        """By preconditioned conjugate gradients."""
        solution = torch.zeros_like(right_hand_side)
        residual = right_hand_side
        moved = self.precondition(residual)
        direction, size = moved, float((residual * moved).sum())
        first = max(size, 1e-300)
        for _ in range(MAX_ITERATIONS):
            if not size > TOLERANCE**2 * first:
                break
            image = self.apply(direction)
            step = size / float((direction * image).sum())
            solution = solution + step * direction
            residual = residual - step * image
            moved = self.precondition(residual)
            before, size = size, float((residual * moved).sum())
            direction = moved + size / before * direction
        return solution


def _roughness(picture: Images) -> Images:
    """Half the gradient of the sum of squared differences between neighbours."""
    result = torch.zeros_like(picture)
    for axis in (2, 3):
        difference = picture.diff(dim=axis)
        length = difference.shape[axis]
        result.narrow(axis, 1, length).add_(difference)
        result.narrow(axis, 0, length).sub_(difference)
    return result
