"""The inverse curvature of an objective, as chosen steps and what they did to the gradient tell of it."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Tensor, torch

from lab.attacks.matching.optimisers.stepper import Metric

MIN_CURVATURE = 1e-10
"""Least curvature along a step, as a share of the square change of the gradient, for the step to be remembered."""


@dataclass(frozen=True, eq=False)
class _Products:
    """A gradient g, M g, and the products with it of all pairs: S g, then Y M g, in double precision."""

    gradient: Tensor
    scaled: Tensor
    products: Tensor


class Curvature:
    """The matrix H of L-BFGS in its compact form (Byrd, Nocedal and Schnabel 1994, theorem 2.2), from H_0 = gamma M.

    Two choices are not the usual ones. Gamma is the largest <s, y> / <y, M y> of all known pairs, not the last one's:
    what no step has told of yet is taken for flat, as the steep tells first. And where no more pairs fit, the flattest
    is forgotten, not the oldest: H_0 stands in for it best, and the steep stays known.

    Products with all pairs at once stand for the small operations that the usual two loops spend on each: with 60 of
    them on a small network those cost more than the match itself. Those with a gradient serve twice, for H g and,
    less those with the gradient before it, for the tables of a new pair. Rows and columns of no pair are zero.
    """

    def __init__(self, like: Tensor, history: int, metric: Metric | None = None) -> None:
        """For vectors like this one, shape (n,), remembering up to ``history`` pairs.

        What is in double precision stays on the CPU: some accelerators have none, and few numbers are soonest done there.
        """
        self.history = history
        self.metric = metric or (lambda gradient: gradient)
        self._last: _Products | None = None
        self._radii: list[float] = []
        """<s, y> / <y, M y> of each pair: how flat the objective is along it."""
        self._pairs = like.new_zeros(2 * history, len(like))
        """The steps s, then M y of the changes y of the gradient along them."""
        self._inner = torch.zeros(history, dtype=torch.float64)
        """<s, y> of each pair."""
        self._inverse = torch.zeros(history, history, dtype=torch.float64)
        """Of the triangle of <s_i, y_j> where pair i is not younger than pair j."""
        self._squares = torch.zeros_like(self._inverse)
        """<y_i, M y_j>."""

    def __len__(self) -> int:
        """The pairs that H knows."""
        return len(self._radii)

    def forget(self) -> None:
        """Start anew: H is M."""
        self._last = None
        self._radii.clear()
        for table in (self._pairs, self._inner, self._inverse, self._squares):
            table.zero_()

    def remember(self, step: Tensor, before: Tensor, after: Tensor) -> None:
        """Add a step and the gradients at its ends, shape (n,) each, where the objective curves upwards along it.

        Elsewhere the pair would turn the next direction uphill.
        """
        old, new = self._products_of(before), self._products_of(after)
        self._last = new
        change, scaled = after - before, new.scaled - old.scaled
        inner, square = float(step.dot(change)), float(change.dot(scaled))
        if not inner > MIN_CURVATURE * square:
            return
        row = self._free_row()
        self._radii[row : row + 1] = [inner / square]
        self._enter(row, inner, square, new.products - old.products)
        for place, vector in ((row, step), (self.history + row, scaled)):
            self._pairs[place] = vector
            new.products[place] = vector.dot(after)

    def _enter(self, row: int, inner: float, square: float, products: Tensor) -> None:
        """Into the tables, from the products of all pairs with the change; those of a pair that goes count for nothing."""
        along, across = products.view(2, -1)
        self._inverse[:, row] = self._inverse @ along / -inner
        self._squares[row] = self._squares[:, row] = across
        self._inner[row], self._inverse[row, row], self._squares[row, row] = inner, 1 / inner, square

    def _free_row(self) -> int:
        """The first without a pair; else the flattest pair's, struck from the triangle and with it from its inverse."""
        if len(self) < self.history:
            return len(self)
        row = self._radii.index(max(self._radii))
        column, line = self._inverse[:, row].clone(), self._inverse[row].clone()
        self._inverse.addr_(column, line, alpha=-float(self._inner[row]))
        self._inverse[:, row] = self._inverse[row] = 0
        return row

    def _products_of(self, gradient: Tensor) -> _Products:
        if self._last is None or not torch.equal(self._last.gradient, gradient):
            return _Products(gradient, self.metric(gradient), (self._pairs @ gradient).cpu().double())
        return self._last

    def inverse_hessian_vector(self, gradient: Tensor) -> Tensor:
        """H g, shape (n,): the way back along which a gradient of g would vanish."""
        self._last = products = self._products_of(gradient)
        if not self._radii:
            return products.scaled
        along, across = products.products.view(2, -1)
        scale = max(self._radii)
        solved = self._inverse @ along
        curved = self._inner * solved + scale * (self._squares @ solved - across)
        shares = torch.cat([curved @ self._inverse, -scale * solved]).to(gradient)
        return torch.addmv(products.scaled, self._pairs.T, shares, beta=scale)
