"""Several inputs of the head set apart by all that the head sent.

The lowest layer's gradient is a sum over the batch,

    [dL/dW, dL/db] = sum_i d_i [f_i, 1],   d_i = dL/dz of picture i,

of rank n, so [f_i, 1] = c_i B for a basis B of its rows and unknown rows c_i. Whatever n x n numbers C one takes, the head
makes of C B what each of its layers would have sent, and only at the client's own C is it what was sent. The method of
Levenberg and Marquardt finds them, begun anew or, since a ReLU's kinks part the way, near the best so far. Where pictures
share a label, or rounding took the digits of the last layer, the layers below still tell them apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.lazy import Float

from lab.federated.losses.base import Loss
from lab.federated.tensors import Gradients, Labels

MAX_PICTURES = 8
"""Beyond, the unknowns are too many for a start by chance."""
TRIES, FRESH_TRIES = 40, 12
"""Starts in all, and how many of them begin anew; the others near the best so far,"""
HOPS = (0.03, 0.1, 0.3)
"""so far from it, relatively, by turns."""
STEPS = 40
DAMPING, HARDER, EASIER = 1e-2, 5.0, 0.125
"""Of a step at first, its factor from one that is tried to the next, and after a step."""
FAILURES = 6
"""So many dampings are tried at once, each harder than the one before."""
PROGRESS = 1e-4
"""A try ends at a step that takes a smaller share of what is left."""
SOLVED = 1e-8
"""The residual's square up to which all layers count as explained: rounding in single precision leaves less than 1e-10."""
RANK_GAP = 1e-3
"""The first singular value behind the batch's, as a share of its last: where it is larger, something else was added."""
ISOLATED = 1e-4
"""The derivative's least singular value, as a share of its largest, with which a solution is alone."""
TINY = 1e-12
DIFFERENCE = 1e-7
"""Relative, of the mixings between which a derivative is taken."""

Mixing = Float[Tensor, "pictures pictures"]


@dataclass(frozen=True, eq=False)
class SentLayer:
    """[dL/dW, dL/db] of a linear layer as U S V^T, of the batch's rank."""

    left: Float[Tensor, "outputs pictures"]
    """U, orthonormal."""
    sizes: Float[Tensor, " pictures"]
    """S."""
    right: Float[Tensor, "pictures inputs_and_one"]
    """V^T, orthonormal."""

    def unexplained(
        self, gradients: Float[Tensor, "mixings pictures outputs"], entering: Float[Tensor, "mixings pictures inputs"]
    ) -> Float[Tensor, "mixings numbers"]:
        """What sum_i d_i [a_i, 1] leaves of it, seen through U and through V, as a share of its size.

        Both are zero only where the whole is: neither side has a higher rank. ``gradients`` are d, ``entering`` a.
        """
        rows = torch.cat([entering, torch.ones_like(entering[..., :1])], -1)
        through_left = (gradients @ self.left).mT @ rows - self.sizes[:, None] * self.right
        through_right = gradients.mT @ (rows @ self.right.mT) - self.left * self.sizes
        return torch.cat([through_left.flatten(1), through_right.flatten(1)], 1) / self.sizes.norm()


class HeadEquations:
    """The equations for the mixing C, shape (pictures, pictures): each layer's gradient, and the ones beside the inputs."""

    def __init__(self, head: nn.Sequential, sent: dict[str, SentLayer], labels: Labels, loss: Loss) -> None:
        self.head, self.sent, self.labels, self.loss = head, sent, labels, loss
        self.lowest = next(iter(sent.values()))
        self.basis = self.lowest.sizes[:, None] * self.lowest.right

    def residual(self, mixings: Float[Tensor, "mixings pictures pictures"]) -> Float[Tensor, "mixings numbers"]:
        """0 at the client's own C, of several at once."""
        made, ones = self._made(mixings), mixings @ self.basis[:, -1] - 1
        return torch.cat([*[self.sent[name].unexplained(*both) for name, both in made.items()], ones], 1)

    def derivative(self, mixing: Mixing) -> Float[Tensor, "numbers mixing"]:
        """Of the residual by C, by differences: so few unknowns cost one pass, and forward derivatives load for seconds."""
        moves = DIFFERENCE * float(mixing.norm()) * torch.eye(mixing.numel(), dtype=mixing.dtype, device=mixing.device)
        here, *there = self.residual(mixing + torch.cat([torch.zeros_like(moves[:1]), moves]).view(-1, *mixing.shape))
        return (torch.stack(there) - here).T / moves[0, 0]

    def separated(self, mixing: Mixing) -> tuple[Float[Tensor, "pictures inputs"], Float[Tensor, "pictures outputs"]]:
        """F, and d of the lowest layer."""
        gradients, entering = next(iter(self._made(mixing[None]).values()))
        return entering[0], gradients[0]

    def _made(self, mixings: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Each layer's d and a of these inputs, shape (mixings, pictures, outputs or inputs)."""
        values, entering, leaving = (mixings @ self.basis)[..., :-1], dict[str, Tensor](), dict[str, Tensor]()
        with torch.enable_grad():
            for name, layer in self.head.named_children():
                before, values = values, layer(values)
                if name in self.sent:
                    values = values.detach().requires_grad_() if not leaving else values
                    entering[name], leaving[name] = before.detach(), values
            slopes = torch.stack([self.loss.logit_gradient(logits, self.labels) for logits in values.detach()])
            found = torch.autograd.grad((values * slopes).sum(), list(leaving.values()))
        return {name: (gradient, entering[name]) for name, gradient in zip(leaving, found, strict=True)}

    def anew(self, generator: torch.Generator) -> Mixing:
        """A mixing to begin with.

        A unit that one picture alone moved tells its input by a ratio (Proposition 3.1). Of units drawn by how far they were
        moved these are guesses, and C = (U^T D)^-1 of what the labels make of them, D of columns d_i, a better one.
        """
        moved = self.lowest.left @ self.basis[:, -1]
        units = torch.multinomial(moved.abs().float(), len(self.labels), generator=generator)
        _, gradients = self.separated(self.lowest.left[units] / moved[units, None])
        return self._with_ones(torch.linalg.pinv(self.lowest.left.T @ gradients.T))

    def near(self, mixing: Mixing, distance: float, generator: torch.Generator) -> Mixing:
        """Another one so far away, relatively, with a one beside each input."""
        drawn = torch.randn(mixing.shape, generator=generator, dtype=mixing.dtype)
        return self._with_ones(mixing * (1 + distance * drawn))

    def _with_ones(self, mixing: Mixing) -> Mixing:
        return mixing / (mixing @ self.basis[:, -1:])

    def solve(self, mixing: Mixing) -> tuple[Mixing, float]:
        """Levenberg and Marquardt's way down from a mixing: where it ends, and the residual's square there."""
        damping, residual = DAMPING, self.residual(mixing[None])[0]
        for _ in range(STEPS):
            left, derivative = float(residual.square().sum()), self.derivative(mixing)
            normal, downhill = derivative.T @ derivative, derivative.T @ residual
            dampings = damping * HARDER ** torch.arange(FAILURES, dtype=torch.float64).to(mixing)
            ridges = dampings[:, None, None] * normal.diagonal().clamp_min(TINY).diag()
            tried = mixing - torch.linalg.solve(normal + ridges, downhill).view(-1, *mixing.shape)
            residuals = self.residual(tried)
            lefts = residuals.square().sum(1)
            best = int(lefts.argmin())
            if not float(lefts[best]) < left:
                break
            mixing, residual, damping = tried[best], residuals[best], max(float(dampings[best]) * EASIER, TINY)
            if left - float(lefts[best]) < PROGRESS * left:
                break
        return mixing, float(residual.square().sum())

    def is_isolated(self, mixing: Mixing) -> bool:
        """Whether nothing near it solves the equations, too."""
        sizes = torch.linalg.svdvals(self.derivative(mixing))
        return bool(sizes[-1] > ISOLATED * sizes[0])


def separate_by_whole_head(
    head: nn.Sequential, gradients: Gradients, labels: Labels, loss: Loss
) -> tuple[Float[Tensor, "pictures inputs"], Float[Tensor, "pictures outputs"]] | None:
    """What entered the head, f, and d of its lowest layer, in the order of the labels; None where they stay mixed.

    ``gradients`` are the client's, in double precision, by the network's names. None, too, where a layer of the head sent
    less than weights and bias, or something that is of no batch of so many pictures, noise say.
    """
    if len(labels) > MAX_PICTURES:
        return None
    sent = _sent_layers(head, gradients, len(labels))
    if sent is None:
        return None
    equations = HeadEquations(head, sent, labels, loss)
    generator = torch.Generator().manual_seed(0)
    best, least = torch.empty(0, dtype=torch.float64), math.inf
    for number in range(TRIES):
        begun_anew = number < FRESH_TRIES
        start = equations.anew(generator) if begun_anew else equations.near(best, HOPS[number % len(HOPS)], generator)
        mixing, left = equations.solve(start)
        if left < least:
            best, least = mixing, left
        if least <= SOLVED:
            return equations.separated(best) if equations.is_isolated(best) else None
    return None


def _sent_layers(head: nn.Sequential, gradients: Gradients, pictures: int) -> dict[str, SentLayer] | None:
    """The head's linear layers by name, if there are two or more, the lowest of the batch's own rank."""
    layers = [name for name, layer in head.named_children() if isinstance(layer, nn.Linear)]
    parts = {name: [f"head.{name}.{part}" for part in ("weight", "bias")] for name in layers}
    if len(layers) < 2 or layers[0] != "0" or any(part not in gradients for both in parts.values() for part in both):
        return None
    sent: dict[str, SentLayer] = {}
    for name, (weight, bias) in parts.items():
        left, sizes, right = torch.linalg.svd(torch.cat([gradients[weight], gradients[bias][:, None]], 1), full_matrices=False)
        if len(sizes) < pictures or (not sent and not _ends(sizes, pictures)):
            return None
        sent[name] = SentLayer(left[:, :pictures], sizes[:pictures], right[:pictures])
    return sent


def _ends(sizes: Tensor, pictures: int) -> bool:
    """Whether singular values fall off behind so many."""
    return len(sizes) > pictures and float(sizes[pictures]) < RANK_GAP * float(sizes[pictures - 1])
