"""The inverse curvature of an objective, as the last steps and what they did to the gradient tell of it."""

from __future__ import annotations

import torch
from torch import Tensor

CONVEX = 1e-10
"""Least curvature along a step, as a share of the square change of the gradient, for the step to be remembered."""


class Curvature:
    """The matrix H of L-BFGS in its compact form (Byrd, Nocedal and Schnabel 1994, theorem 2.2).

    Two products with all remembered steps at once stand for the four small operations that the
    usual two loops spend on each: with 100 of them on a small network those cost more than the match itself.
    """

    def __init__(self, like: Tensor, history: int) -> None:
        """For vectors like this one, shape (n,); ``history`` steps are remembered, and the oldest goes first.

        The room is twice that, so that the kept half moves to the front but once in so many steps.
        """
        room = 2 * history
        self.history = history
        self._first = self._end = 0
        self._scale = 1.0
        self._steps, self._changes = (like.new_empty(room, len(like)) for _ in range(2))
        """The steps s, and the changes y of the gradient along them."""
        self._inner = torch.empty(room, room, dtype=torch.float64, device=like.device)
        """<s_i, y_j> for i <= j; nobody reads what is below, and rows without a step take no memory."""
        self._squares = torch.empty_like(self._inner)
        """<y_i, y_j>."""

    def __len__(self) -> int:
        """The steps that H knows."""
        return self._end - self._first

    def forget(self) -> None:
        """Start anew: H is the identity."""
        self._first = self._end = 0

    def remember(self, step: Tensor, change: Tensor) -> None:
        """Add a step and its change, shape (n,) each, where the objective curves upwards along it.

        Elsewhere the pair would turn the next direction uphill.
        """
        inner, square = float(step.dot(change)), float(change.dot(change))
        if not inner > CONVEX * square:
            return
        self._make_room()
        new = self._end
        self._steps[new], self._changes[new] = step, change
        self._end, self._scale = new + 1, inner / square
        known = slice(self._first, self._end)
        self._inner[known, new] = self._steps[known] @ change
        self._squares[known, new] = self._squares[new, known] = self._changes[known] @ change

    def _make_room(self) -> None:
        if len(self) == self.history:
            self._first += 1
        if self._end == len(self._steps):
            kept, count = slice(self._first, self._end), len(self)
            for rows in (self._steps, self._changes):
                rows[:count] = rows[kept].clone()
            for products in (self._inner, self._squares):
                products[:count, :count] = products[kept, kept].clone()
            self._first, self._end = 0, count

    def undo(self, gradient: Tensor) -> Tensor:
        """H g, shape (n,): the way back along which a gradient of g would vanish."""
        if not len(self):
            return gradient
        known = slice(self._first, self._end)
        steps, changes = self._steps[known], self._changes[known]
        inner, squares = self._inner[known, known], self._squares[known, known]
        along, across = (steps @ gradient).double()[:, None], (changes @ gradient).double()[:, None]
        solved = torch.linalg.solve_triangular(inner, along, upper=True)
        bent = inner.diagonal()[:, None] * solved + self._scale * (squares @ solved - across)
        shares = torch.linalg.solve_triangular(inner.T, bent, upper=False)
        result = shares[:, 0].to(gradient) @ steps
        result -= (self._scale * solved)[:, 0].to(gradient) @ changes
        return result.add_(gradient, alpha=self._scale)
