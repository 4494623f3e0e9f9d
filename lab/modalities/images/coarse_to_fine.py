"""Broad shapes of a picture: coarse grids, drawn up to its pixels."""

from __future__ import annotations

from functools import cached_property

from lab.lazy import Tensor, functional, torch

from lab.federated.tensors import Images

COARSEST = 4
"""Broad shapes move on grids of half, a quarter ... of the sides, down to this many pixels."""
REACH = 1.2
"""By how much farther each coarser grid moves than the next finer one."""


class Grids:
    """All grids of a picture in one tensor, a block of its diagonal each, so that two small products draw them all.

    ``up`` is the sum over grids s of w_s times the bilinear enlargement of grid s to the picture's
    size; that is separable, rows S columns^T. ``down`` is its adjoint. For pictures that ``fit``.
    """

    def __init__(self, like: Images) -> None:
        self.sizes = _sizes(*like.shape[-2:])
        self.rows = _enlargements([height for height, _ in self.sizes], like.shape[-2]).to(like)
        self.columns = _enlargements([width for _, width in self.sizes], like.shape[-1]).to(like)
        heights, widths = (_numbered(sides) for sides in zip(*self.sizes, strict=True))
        self.inside = (heights[:, None] == widths).to(like)

    @staticmethod
    def fit(like: Images) -> bool:
        """Whether the picture is large enough for a grid."""
        return bool(_sizes(*like.shape[-2:]))

    def zeros(self, like: Images) -> Tensor:
        """Flat shapes, (batch, channels, rows of all grids, columns of all grids)."""
        return like.new_zeros((*like.shape[:2], *self.inside.shape))

    def up(self, shapes: Tensor) -> Images:
        """The shapes as a picture, (batch, channels, height, width)."""
        return self.rows @ shapes @ self.columns.T

    def down(self, slope: Images) -> Tensor:
        """From a gradient with respect to the pixels to that with respect to the shapes."""
        return (self.rows.T @ slope @ self.columns).mul_(self.inside)

    def spread(self, slope: Images) -> Images:
        """(1 + up down) of a slope: how far pixels and shapes together move where each follows its own."""
        flat = slope.flatten(0, 1)
        along_rows = (flat @ self._across).view(len(flat), -1, slope.shape[-1])
        return torch.baddbmm(flat, self._down.expand(len(flat), -1, -1), along_rows).view_as(slope)

    @cached_property
    def _across(self) -> Tensor:
        """C C^T of each grid's columns C, side by side."""
        return torch.cat([part @ part.T for part in self._parts(self.columns, -1)], 1)

    @cached_property
    def _down(self) -> Tensor:
        """R R^T of each grid's rows R, the grids' numbers for one row together."""
        return torch.stack([part @ part.T for part in self._parts(self.rows, -2)], -1).flatten(1)

    def _parts(self, enlargements: Tensor, side: int) -> tuple[Tensor, ...]:
        return torch.split(enlargements, [size[side] for size in self.sizes], 1)


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    """(height, width) of each grid, from half the sides down."""
    sizes: list[tuple[int, int]] = []
    while min(height, width) >= 2 * COARSEST:
        height, width = height // 2, width // 2
        sizes.append((height, width))
    return sizes


def _numbered(sides: tuple[int, ...]) -> Tensor:
    """Of each row (or column) of all grids, the number of the grid that it belongs to."""
    return torch.arange(len(sides)).repeat_interleave(torch.tensor(sides, dtype=torch.long))


def _enlargements(sizes: list[int], whole: int) -> Tensor:
    """The linear enlargements side by side, (whole, sum of sizes); each carries the root of its grid's reach."""
    maps = [
        REACH ** (level / 2)
        * functional.interpolate(torch.eye(size, dtype=torch.float64)[:, None], whole, mode="linear")[:, 0].T
        for level, size in enumerate(sizes, 1)
    ]
    return torch.cat(maps, 1)
