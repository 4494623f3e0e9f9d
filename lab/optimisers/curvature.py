"""The inverse curvature of an objective, as the last steps and what they did to the gradient tell of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.optimisers.stepper import Metric

CONVEX = 1e-10
"""Least curvature along a step, as a share of the square change of the gradient, for the step to be remembered."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """A gradient g, M g, and their products with the known steps S and changes Y, as ``_exact`` numbers."""

    gradient: Tensor
    spread: Tensor
    along: Tensor
    """S g."""
    across: Tensor
    """Y M g."""

    def later(self, along: Tensor, across: Tensor) -> _Seen:
        """With one pair more."""
        return _Seen(self.gradient, self.spread, torch.cat([self.along, along[None]]), torch.cat([self.across, across[None]]))

    def without_oldest(self) -> _Seen:
        """With the oldest pair forgotten."""
        return _Seen(self.gradient, self.spread, self.along[1:], self.across[1:])


class Curvature:
    """The matrix H of L-BFGS in its compact form (Byrd, Nocedal and Schnabel 1994, theorem 2.2), from H_0 ~ M.

    Products with all remembered steps at once stand for the small operations that the usual two loops spend on each:
    with 100 of them on a small network those cost more than the match itself. Those with a gradient serve twice,
    for H g and, less those with the gradient before it, for the table of a new pair.
    """

    def __init__(self, like: Tensor, history: int, metric: Metric | None = None) -> None:
        """For vectors like this one, shape (n,); ``history`` steps are remembered, and the oldest goes first.

        The room is twice that, so that the kept half moves to the front but once in so many steps.
        """
        room = 2 * history
        self.history = history
        self.metric = metric or (lambda gradient: gradient)
        self._first = self._end = 0
        self._scale = 1.0
        self._seen: _Seen | None = None
        self._steps, self._changes = (like.new_empty(room, len(like)) for _ in range(2))
        """The steps s, and the changes y of the gradient along them."""
        self._inner = torch.empty(room, room, dtype=torch.float64)
        """<s_i, y_j> for i <= j; nobody reads what is below, and rows without a step take no memory."""
        self._squares = torch.empty_like(self._inner)
        """<y_i, M y_j>."""

    def __len__(self) -> int:
        """The steps that H knows."""
        return self._end - self._first

    @property
    def _known(self) -> slice:
        return slice(self._first, self._end)

    def forget(self) -> None:
        """Start anew: H is M."""
        self._first = self._end = 0
        self._seen = None

    def remember(self, step: Tensor, before: Tensor, after: Tensor) -> None:
        """Add a step and the gradients at its ends, shape (n,) each, where the objective curves upwards along it.

        Elsewhere the pair would turn the next direction uphill.
        """
        old, new = self._see(before), self._see(after)
        change = after - before
        inner, square = float(step.dot(change)), float(change.dot(new.spread - old.spread))
        self._seen = new
        if not inner > CONVEX * square:
            return
        if len(self) == self.history:
            old, new = old.without_oldest(), new.without_oldest()
        self._make_room()
        known, last = self._known, self._end
        self._steps[last], self._changes[last] = step, change
        self._inner[known, last] = new.along - old.along
        self._squares[known, last] = self._squares[last, known] = new.across - old.across
        self._inner[last, last], self._squares[last, last] = inner, square
        self._end, self._scale = last + 1, inner / square
        self._seen = new.later(_exact(step.dot(after)), _exact(change.dot(new.spread)))

    def _see(self, gradient: Tensor) -> _Seen:
        if self._seen is None or not torch.equal(self._seen.gradient, gradient):
            spread = self.metric(gradient)
            along, across = self._steps[self._known] @ gradient, self._changes[self._known] @ spread
            return _Seen(gradient, spread, _exact(along), _exact(across))
        return self._seen

    def _make_room(self) -> None:
        if len(self) == self.history:
            self._first += 1
        if self._end == len(self._steps):
            kept, count = self._known, len(self)
            for rows in (self._steps, self._changes):
                rows[:count] = rows[kept].clone()
            for products in (self._inner, self._squares):
                products[:count, :count] = products[kept, kept].clone()
            self._first, self._end = 0, count

    def undo(self, gradient: Tensor) -> Tensor:
        """H g, shape (n,): the way back along which a gradient of g would vanish."""
        self._seen = seen = self._see(gradient)
        if not len(self):
            return seen.spread
        known = self._known
        inner, squares = self._inner[known, known], self._squares[known, known]
        solved = torch.linalg.solve_triangular(inner, seen.along[:, None], upper=True)
        bent = inner.diagonal()[:, None] * solved + self._scale * (squares @ solved - seen.across[:, None])
        shares = torch.linalg.solve_triangular(inner.T, bent, upper=False)
        rest = gradient - solved[:, 0].to(gradient) @ self._changes[known]
        return (shares[:, 0].to(gradient) @ self._steps[known]).add_(self.metric(rest), alpha=self._scale)


def _exact(numbers: Tensor) -> Tensor:
    """In double precision on the CPU: some accelerators have none, and few numbers are soonest solved for there."""
    return numbers.cpu().double()
