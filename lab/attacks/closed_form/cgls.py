"""Conjugate gradients on least squares, on the operators themselves: no matrix is ever built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.lazy import Float

Rows = Sequence[Float[Tensor, "..."]]
"""A right-hand side or residual: one tensor a block of equations."""

STAGNATION = 0.5
"""Over ``patience`` iterations the residual must fall to this share, or the rest is left to another solve."""


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """x = argmin ||A x - b||, found from x = 0 (so directions that A does not see stay zero)."""

    solution: Float[Tensor, "*unknowns"]
    iterations: int
    residual: float
    """||A x - b||."""
    condition: float
    """Largest over smallest singular value of A among the directions that the iterations met."""


def cgls(
    forward: Callable[[Float[Tensor, "*unknowns"]], Rows],
    adjoint: Callable[[Rows], Float[Tensor, "*unknowns"]],
    target: Rows,
    iterations: int,
    *,
    tolerance: float = 1e-12,
    floor: float = 0.0,
    patience: int = 0,
) -> LeastSquares:
    """CGLS (Hestenes and Stiefel 1952; Björck 1996, section 7.4).

    Ends when ||A^T r|| falls below ``tolerance`` of its start, when ||r|| reaches ``floor``
    (the discrepancy principle: noise is not to be fitted), or when ``patience`` iterations gained too little.
    """
    residual = list(target)
    gradient = adjoint(residual)
    solution, direction = torch.zeros_like(gradient), gradient.clone()
    size = first = float(gradient.square().sum())
    steps: list[float] = []
    ratios: list[float] = []
    history = [norm(residual)]
    while len(steps) < iterations and size > tolerance**2 * first and history[-1] > floor:
        image = forward(direction)
        steps.append(size / max(sum(float(rows.square().sum()) for rows in image), 1e-300))
        solution.add_(direction, alpha=steps[-1])
        residual = [rows - steps[-1] * change for rows, change in zip(residual, image, strict=True)]
        gradient = adjoint(residual)
        previous, size = size, float(gradient.square().sum())
        ratios.append(size / previous)
        direction = gradient + ratios[-1] * direction
        history.append(norm(residual))
        if patience and len(steps) % patience == 0 and history[-1] > STAGNATION * history[-1 - patience]:
            break
    return LeastSquares(solution, len(steps), history[-1], _condition(steps, ratios))


def norm(rows: Rows) -> float:
    """The Euclidean norm over all blocks together."""
    return float(sum(float(block.square().sum()) for block in rows)) ** 0.5


def _condition(steps: list[float], ratios: list[float]) -> float:
    """From the Lanczos matrix that the coefficients of conjugate gradients spell out (Golub and Van Loan, 11.3)."""
    if not steps:
        return 1.0
    size, growth = torch.tensor(steps, dtype=torch.float64), torch.tensor(ratios, dtype=torch.float64)
    diagonal = 1 / size
    diagonal[1:] += growth[:-1] / size[:-1]
    off_diagonal = growth[:-1].sqrt() / size[:-1]
    values = torch.linalg.eigvalsh(torch.diag(diagonal) + torch.diag(off_diagonal, 1) + torch.diag(off_diagonal, -1))
    return float((values[-1] / values[0].clamp_min(1e-30 * float(values[-1]))).sqrt())
