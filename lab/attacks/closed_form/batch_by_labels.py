"""Several inputs of the last layer set apart by what their labels say of their probabilities.

The gradient of the logits' layer is a sum over the batch,

    [dL/dW, dL/db] = sum_i s_i [f_i, 1],   s_i = dL/dlogits of picture i: (p_i - e_i) / n of the mean cross entropy,
                                           with p_i = softmax(W f_i + b) and its label e_i,

of rank n. Its singular vectors give U R with n columns and rows, so [f_i, 1] = c_i R for unknown
rows c_i, and the logits are c_i K with K = R [W, b]^T. That closes a circle on n x n numbers,

    S(C K)^T C^-1 = u U,   C R_last = 1,

with u = 1, or 1/s where the gradient was sent s times as long (clipped, or a sum over the batch): one unknown more,
which Newton's method solves from a guess at the probabilities. Few starts are needed where all
labels differ; where some are equal the guesses must break the tie, and which of these is which
does not matter. Each p_i - e_i sums to zero over the classes, so at most one picture fewer than there are classes. Of a
squared error three pictures of one label turn into one another, so what is found counts only where nothing near it will do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.lazy import Float, Int

from lab.federated.gradients import MEAN_CROSS_ENTROPY
from lab.federated.losses.base import Loss, one_hot

STARTS = 120
SPREADS = (0.1, 0.3, 1.0, 3.0, 6.0)
"""Of the random logits that a start adds to the bias."""
LABEL_LOGITS = (0.0, 4.0, 8.0)
"""What it adds to the logit of the label: a trained network is often right."""
STEPS = 60
SOLVED_RESIDUAL = 1e-4
"""Residual up to which the circle counts as closed."""
ISOLATED_SINGULAR_VALUE = 1e-9
"""The least singular value of the circle's derivative, as a share of the largest, with which a solution is alone."""
FULL_RANK_TOLERANCE = 1e-7
"""The smallest singular value that is no rounding, as a share of the largest."""


@dataclass(frozen=True, eq=False)
class SeparatedBatch:
    """The inputs of the logits' layer in the order of the labels."""

    inputs: Float[Tensor, "pictures inputs"]
    """f, shape (pictures, inputs)."""
    logit_gradients: Float[Tensor, "pictures classes"]
    """dL/dlogits of each picture's share of the loss as it was sent, shape (pictures, classes)."""
    residual: float
    """Of the equations of the circle: 0 where they hold."""


MixingSolution = tuple[Float[Tensor, "pictures pictures"], float, float]
"""C, the factor u, and what is left of the equations."""


def separate_by_labels(
    weight_gradient: Float[Tensor, "classes inputs"],
    bias_gradient: Float[Tensor, " classes"],
    weight: Float[Tensor, "classes inputs"],
    bias: Float[Tensor, " classes"],
    labels: Int[Tensor, " pictures"],
    loss: Loss = MEAN_CROSS_ENTROPY,
) -> SeparatedBatch | None:
    """Set a batch apart; None where no start closes the circle.

    ``weight_gradient`` and ``weight`` have shape (classes, inputs), the others (classes,) and (pictures,); all float64.
    """
    count = len(labels)
    left, sizes, right = torch.linalg.svd(torch.cat([weight_gradient, bias_gradient[:, None]], 1), full_matrices=False)
    if count > len(sizes) or sizes[count - 1] <= FULL_RANK_TOLERANCE * sizes[0]:
        return None
    basis = sizes[:count, None] * right[:count]
    equations = MixingEquations(left[:, :count], basis @ torch.cat([weight, bias[:, None]], 1).T, basis[:, -1], labels, loss)
    for guess in _guesses(bias, labels):
        mixing, factor, residual = equations.solve(guess)
        if residual <= SOLVED_RESIDUAL and factor > 0:
            if not equations.is_isolated(mixing):
                return None
            return SeparatedBatch((mixing @ basis)[:, :-1], equations.logit_gradients(mixing) / factor, residual)
    return None


def _guesses(bias: Tensor, labels: Tensor) -> Iterator[Tensor]:
    """Logits of the pictures to begin with, shape (pictures, classes): first those of the bias alone."""
    generator = torch.Generator().manual_seed(0)
    right = one_hot(bias.expand(len(labels), -1), labels)
    yield bias.expand(len(labels), -1)
    for start in range(STARTS):
        spread = SPREADS[start % len(SPREADS)]
        label_logit = LABEL_LOGITS[start // len(SPREADS) % len(LABEL_LOGITS)]
        drawn = torch.randn(right.shape, generator=generator, dtype=bias.dtype)
        yield bias + label_logit * right + spread * drawn


@dataclass(frozen=True, eq=False)
class MixingEquations:
    """The equations for the mixing C, shape (pictures, pictures), and the factor u; both as one vector of unknowns."""

    left: Float[Tensor, "classes pictures"]
    """U, shape (classes, pictures)."""
    logits: Float[Tensor, "pictures classes"]
    """K, shape (pictures, classes)."""
    ones: Float[Tensor, " pictures"]
    """R_last, shape (pictures,)."""
    labels: Int[Tensor, " pictures"]
    loss: Loss = MEAN_CROSS_ENTROPY

    def logit_gradients(self, mixing: Float[Tensor, "pictures pictures"]) -> Float[Tensor, "pictures classes"]:
        """S: dL/dlogits of the pictures, shape (pictures, classes)."""
        return self._logit_gradients(mixing @ self.logits)

    def _logit_gradients(self, logits: Tensor) -> Tensor:
        return self.loss.logit_gradient(logits, self.labels)

    def residual(self, unknowns: Float[Tensor, " unknowns"]) -> Float[Tensor, " equations"]:
        """What is left of the equations, as one vector."""
        square = unknowns[:-1].view(len(self.labels), -1)
        made = self.logit_gradients(square).T @ square - unknowns[-1] * self.left
        return torch.cat([made.flatten(), square @ self.ones - 1])

    def jacobian(self, mixing: Float[Tensor, "pictures pictures"]) -> Float[Tensor, "equations unknowns"]:
        """How the residual moves with C and u, shape (equations, unknowns).

        With D_ijc = dS_ic / dC_ij, the product of the loss's Hessian at picture i with K_j, the entry (c, l) of S^T C moves
        with C_ij by S_ic where l = j, and by D_ijc C_il.
        """
        count = len(self.labels)
        moved = self.loss.hessian_products(mixing @ self.logits, self.labels, self.logits)
        made = torch.einsum("ic,lj->clij", self.logit_gradients(mixing), torch.eye(count, dtype=mixing.dtype))
        made = made + torch.einsum("ijc,il->clij", moved, mixing)
        ones = torch.einsum("ki,j->kij", torch.eye(count, dtype=mixing.dtype), self.ones)
        by_factor = torch.cat([-self.left.flatten(), torch.zeros(count, dtype=mixing.dtype)])
        return torch.cat([torch.cat([made.flatten(0, 1).flatten(1), ones.flatten(1)]), by_factor[:, None]], 1)

    def is_isolated(self, mixing: Float[Tensor, "pictures pictures"]) -> bool:
        """Whether no other solution lies next to this one."""
        sizes = torch.linalg.svdvals(self.jacobian(mixing))
        return bool(sizes[-1] > ISOLATED_SINGULAR_VALUE * sizes[0])

    def solve(self, guess: Float[Tensor, "pictures classes"]) -> MixingSolution:
        """C, u and their residual by damped Newton steps (Levenberg and Marquardt) from guessed logits."""
        mixing = torch.linalg.lstsq(self._logit_gradients(guess).T, self.left, driver="gelsd").solution
        ones = mixing @ self.ones
        factor = (ones.sum() / ones.square().sum().clamp_min(1e-300)).view(1)
        found = torch.cat([factor * mixing.flatten(), factor])
        left, damping = self.residual(found), 1e-3
        for _ in range(STEPS):
            moved = found - self._step(found, left, damping)
            then = self.residual(moved)
            if then.norm() < left.norm():
                stalled = then.norm() > (1 - 1e-6) * left.norm()
                found, left, damping = moved, then, max(damping / 10, 1e-15)
                if stalled:
                    break
            else:
                damping *= 10
        return found[:-1].view(len(self.labels), -1), float(found[-1]), float(left.norm())

    def _step(self, found: Tensor, left: Tensor, damping: float) -> Tensor:
        jacobian = self.jacobian(found[:-1].view(len(self.labels), -1))
        normal = jacobian.T @ jacobian
        diagonal = normal.diagonal()
        return torch.linalg.solve(normal + damping * diagonal.clamp_min(1e-12 * diagonal.max()).diag(), jacobian.T @ left)
