"""Several inputs of one fully connected layer set apart again, where a ReLU above leaves each its own silent units.

dL/dW = sum_k dz_k x_k^T has the rank of the batch b, so dL/dW = L R with b columns and rows, and
dz_k = L q_k for some unknown q_k. Where picture k leaves unit i silent, row i of L is at right
angles to q_k: b - 1 such rows give q_k up to its scale. Rows are drawn until b directions with
many zeros are found; dL/db = sum_k dz_k gives the scales (Dimitrov et al., SPEAR, NeurIPS 2024).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.lazy import Float

DRAWS = 512
"""Sets of rows drawn at a time."""
TRIES = 64
"""So many times at most."""
ZERO_TOLERANCE = 1e-4
"""An entry of L q counts as zero below this share of the largest."""
EXTRA_ZEROS = 4
"""A direction must be at right angles to this many rows more than the ones that made it."""
INCONSISTENT_SHARE = 0.01
"""Share of units that may be silent in the gradient but not by the inputs, or the other way round."""
SPARSEST_KEPT = 256
"""Of each draw's directions, the sparsest so many."""
SAME_DIRECTION = 1e-3
"""Directions whose cosine is this close to 1 are the same one."""


@dataclass(frozen=True, eq=False)
class SeparatedBySparsity:
    """The inputs and output gradients of one layer, picture by picture, in no particular order."""

    inputs: Float[Tensor, "pictures inputs"]
    """x, shape (pictures, inputs)."""
    output_gradients: Float[Tensor, "pictures outputs"]
    """dL/dz of each picture's share of the loss, shape (pictures, outputs)."""
    residual: float
    """How far the silent units found are from those that the inputs make: share of all units."""


def disaggregate(
    weight_gradient: Float[Tensor, "outputs inputs"],
    bias_gradient: Float[Tensor, " outputs"],
    pictures: int,
    weight: Float[Tensor, "outputs inputs"],
    bias: Float[Tensor, " outputs"],
    generator: torch.Generator,
) -> SeparatedBySparsity | None:
    """Set a batch apart; None where not enough sparse directions are found.

    ``weight_gradient`` and ``weight`` have shape (outputs, inputs), ``bias_gradient`` and ``bias`` (outputs,).
    """
    left, sizes, right = torch.linalg.svd(weight_gradient, full_matrices=False)
    if pictures > len(sizes) or sizes[pictures - 1] <= ZERO_TOLERANCE**2 * sizes[0]:
        return None
    basis, rest = left[:, :pictures], sizes[:pictures, None] * right[:pictures]
    best: SeparatedBySparsity | None = None
    for directions in _sparse(basis, pictures, generator):
        scales = torch.linalg.lstsq(basis @ directions, bias_gradient.unsqueeze(1)).solution[:, 0]
        found = _with_residual(
            basis @ (directions * scales), torch.linalg.solve(directions, rest) / scales[:, None], weight, bias
        )
        best = found if best is None or found.residual < best.residual else best
        if best.residual <= INCONSISTENT_SHARE:
            break
    return best


def _with_residual(output_gradients: Tensor, inputs: Tensor, weight: Tensor, bias: Tensor) -> SeparatedBySparsity:
    """The result with its residual; ``output_gradients`` has shape (outputs, pictures)."""
    inactive = output_gradients.abs() <= ZERO_TOLERANCE * output_gradients.abs().amax(0)
    expected = (inputs @ weight.T + bias <= 0).T
    return SeparatedBySparsity(inputs, output_gradients.T, float((inactive != expected).double().mean()))


def _sparse(basis: Tensor, pictures: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Ever better sets of ``pictures`` independent directions q, as columns, for which L q has the most zeros."""
    found: list[tuple[int, Tensor]] = []
    active = basis[basis.norm(dim=1) > ZERO_TOLERANCE * basis.norm(dim=1).max()]
    for rows in _drawn(len(active), pictures - 1, generator):
        candidates = torch.linalg.svd(active[rows], full_matrices=True)[2][:, -1]
        made = (active @ candidates.T).abs()
        zeros = (made < ZERO_TOLERANCE * made.amax(0)).sum(0)
        for index in zeros.argsort(descending=True)[:SPARSEST_KEPT].tolist():
            if zeros[index] >= pictures - 1 + EXTRA_ZEROS:
                _add(found, int(zeros[index]), candidates[index])
        chosen = _independent(found, pictures)
        if chosen is not None:
            yield chosen


def _drawn(rows: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Random sets of ``size`` different rows, shape (draws, size); none where there are too few rows."""
    for _ in range(TRIES if rows > size else 0):
        yield torch.rand(DRAWS, rows, generator=generator, dtype=torch.float32).argsort(1)[:, :size]


def _add(found: list[tuple[int, Tensor]], zeros: int, direction: Tensor) -> None:
    if not found or float((torch.stack([known for _, known in found]) @ direction).abs().max()) < 1 - SAME_DIRECTION:
        found.append((zeros, direction))


def _independent(found: list[tuple[int, Tensor]], pictures: int) -> Tensor | None:
    """The sparsest directions that are linearly independent, as columns; None while there are too few."""
    chosen: list[Tensor] = []
    for _, direction in sorted(found, key=lambda pair: -pair[0]):
        matrix = torch.stack([*chosen, direction], 1)
        if torch.linalg.svdvals(matrix)[-1] > SAME_DIRECTION:
            chosen.append(direction)
        if len(chosen) == pictures:
            return torch.stack(chosen, 1)
    return None
