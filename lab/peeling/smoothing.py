"""What pictures are like, as a change of variables: x = S y with S damping fine detail.

Conjugate gradients cut short then reach for broad shapes first, which keeps Gauss-Newton from
wrong activation patterns. At convergence the solution is the same with and without S.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import torch
from torch import Tensor


def smoother(power: float, like: Tensor) -> Callable[[Tensor], Tensor]:
    """S: each cosine of frequency (u, v) is scaled by (1 + u^2 + v^2)^(-power / 2); S is its own adjoint."""
    if power == 0:
        return lambda values: values
    rows, columns = _cosines(like.shape[-2]).to(like), _cosines(like.shape[-1]).to(like)
    down = torch.arange(like.shape[-2], dtype=like.dtype, device=like.device)
    across = torch.arange(like.shape[-1], dtype=like.dtype, device=like.device)
    scales = (1 + down[:, None].square() + across[None].square()) ** (-power / 2)
    return lambda values: rows.T @ ((rows @ values @ columns.T) * scales) @ columns


def _cosines(size: int) -> Tensor:
    """The orthonormal discrete cosine transform (type II), shape (size, size)."""
    index = torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(pi / size * (index[None] + 0.5) * index[:, None]) * (2 / size) ** 0.5
    matrix[0] /= 2**0.5
    return matrix
