"""A convolution's weight gradient, taken apart by its shifts alone: which gradient sat where, and on which patch.

dL/dW = P X: column p of P holds dz at place p, row p of X the patch that the kernel saw there. As a product it
could be split in endless ways, (P Q^-1)(Q X). But the rows of X are patches of one picture: neighbours agree where they
overlap, and beyond the border zero padding shows nothing. Both are linear in Q, and as long as no patch is a mixture of
the others, only one Q is left, up to its length. Nothing of the layers above is needed for that.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lab.lazy import Bool, Float

from lab.attacks.closed_form.cgls import Rows, cgls
from lab.attacks.closed_form.convolution import Convolution
from lab.attacks.closed_form.rank import numerical_rank
from lab.attacks.closed_form.shapes import Kernels

MAX_ITERATIONS = 3000
CONVERGED = 1e-10
"""Share of its first gradient at which the search for the one mixture ends: float32 gradients carry no more digits."""


def positions_determined(gradient: Kernels) -> int:
    """How many places a gradient (outputs, inputs, kernel, kernel) can tell apart: its rank."""
    return numerical_rank(gradient.flatten(1))


def factorise_positions(
    convolution: Convolution, gradient: Kernels, reached: Bool[Tensor, "rows columns"]
) -> Float[Tensor, "outputs rows columns"]:
    """The output's gradient place by place up to one factor, shape (outputs, height, width); 0 at places not reached.

    ``reached`` (height, width) is where the layers above let gradients through.
    Wants a gradient whose rank is the number of reached places, and zero padding: from each place a circular
    picture looks the same.
    """
    count = int(reached.sum())
    left, sizes, right = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
    rows = right[:count]
    consistent = ConsistentPatches(convolution, reached.flatten())
    guess = torch.randn(count, count, generator=torch.Generator().manual_seed(0), dtype=gradient.dtype)

    def forward(mixture: Tensor) -> Rows:
        return [consistent.violation((mixture @ rows).T)]

    def adjoint(violations: Rows) -> Tensor:
        return consistent.violation(violations[0]).T @ rows.T

    seen = cgls(forward, adjoint, forward(guess), MAX_ITERATIONS, tolerance=CONVERGED)
    output_gradients = torch.zeros(len(gradient), reached.numel(), dtype=gradient.dtype)
    output_gradients[:, reached.flatten()] = (left[:, :count] * sizes[:count]) @ torch.linalg.pinv(guess - seen.solution)
    return output_gradients.unflatten(1, tuple(reached.shape))


class ConsistentPatches:
    """The patches that one picture can show at the reached places, and how far others are from that."""

    def __init__(self, convolution: Convolution, reached: Bool[Tensor, " positions"]) -> None:
        self.convolution, self.reached = convolution, reached
        blank = torch.zeros(convolution.input_shape, dtype=convolution.weight.dtype)
        self._times_seen = convolution.fold_patches(torch.ones_like(convolution.patches(blank)) * reached).clamp_min(1)

    def violation(self, patches: Float[Tensor, "taps reached"]) -> Float[Tensor, "taps reached"]:
        """Patches (inputs x kernel x kernel, places) less their nearest consistent ones: an orthogonal projection."""
        everywhere = patches.new_zeros(len(patches), self.reached.numel())
        everywhere[:, self.reached] = patches
        picture = self.convolution.fold_patches(everywhere) / self._times_seen
        return patches - self.convolution.patches(picture)[:, self.reached]
