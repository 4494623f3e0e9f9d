"""Equations that every gradient of a network obeys, whatever its pictures, labels and loss: what an update is held against.

ReLU, max-pooling and averages are homogeneous: what a unit's incoming weights gain, its outgoing weights lose. So for each
unit u between two layers (Du et al., NeurIPS 2018, theorem 2.1)

    <W_in[u], G_in[u]> + b[u] G_b[u] = <W_out[:, u], G_out[:, u]>,

and likewise between a convolution and the batch norm on it, with its stored mean m and deviation s:

    <W[u], G[u]> = gamma[u] G_gamma[u] + gamma[u] m[u] / s[u] G_beta[u].

Which of these hold in a network is not told by its layers' names but tried, on gradients of other pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Union

from lab.lazy import Tensor, nn, torch

from lab.federated.typed_torch import layers_of

HOLDS = 1e-7
"""Relative, in double precision."""
Numbers = Mapping[str, Tensor]
Layer = Union["nn.Conv2d", "nn.Linear", "nn.BatchNorm2d"]
Side = Callable[[Numbers, Numbers], Tensor]
"""Linear in weights and in gradients: a number for each unit."""


@dataclass(frozen=True)
class Law:
    """One equation a unit: ``left`` = ``right``."""

    left: Side
    right: Side
    names: tuple[str, ...]
    """The parameters that it speaks of."""

    def holds(self, weights: Numbers, gradient: Numbers) -> bool:
        """Whether a gradient obeys it, but for rounding."""
        one, other = self.left(weights, gradient), self.right(weights, gradient)
        size = float(one.norm() + other.norm())
        return size > 0 and float((one - other).norm()) <= HOLDS * size


@dataclass(frozen=True)
class Violation:
    """How far an update is from all laws together, and at which weights it would be nearest."""

    share: float
    """The length of what is violated over that of both sides."""
    left: float
    """The same at those weights."""
    shift: float
    """They are the given ones plus so many times the update."""


def laws_of(network: nn.Module, gradients: Sequence[Numbers], weights: Numbers) -> list[Law]:
    """Those that hold for all these gradients of the network, in double precision."""
    sent = gradients[0].keys()
    known = [law for law in _candidates(network) if sent >= set(law.names)]
    return [law for law in known if all(law.holds(weights, gradient) for gradient in gradients)]


def violation(laws: list[Law], weights: Numbers, update: Numbers) -> Violation | None:
    """How an update violates the laws; None where none speaks of what was sent, or all it speaks of is zero."""
    if not laws:
        return None
    sides = [(law.left(weights, update), law.right(weights, update)) for law in laws]
    size = float(torch.cat([torch.cat(pair) for pair in sides]).norm())
    off = torch.cat([one - other for one, other in sides])
    bent = torch.cat([law.left(update, update) - law.right(update, update) for law in laws])
    if not size or not float(bent.norm()):
        return None
    shift = -float(off @ bent / (bent @ bent))
    return Violation(float(off.norm()) / size, float((off + shift * bent).norm()) / size, shift)


def _candidates(network: nn.Module) -> list[Law]:
    layers = layers_of(network, nn.Conv2d, nn.Linear, nn.BatchNorm2d)
    named = [(name, layer) for name, layer in layers.items() if isinstance(layer.weight, nn.Parameter)]
    return [law for (one, first), (two, second) in pairwise(named) if (law := _between(one, first, two, second)) is not None]


def _between(one: str, first: Layer, two: str, second: Layer) -> Law | None:
    """The law of the units between two layers that follow one another; None where their sizes do not meet."""
    units = first.weight.shape[0]
    if isinstance(second, nn.BatchNorm2d):
        mean, variance = second.running_mean, second.running_var
        if isinstance(first, nn.BatchNorm2d) or mean is None or variance is None or second.num_features != units:
            return None
        ratio = (mean / (variance + second.eps).sqrt()).double()
        return Law(_incoming(one, first), _normed(two, ratio), _names(one, first, two, second))
    if getattr(second, "groups", 1) != 1 or second.weight.shape[1] % units:
        return None
    return Law(_incoming(one, first), _outgoing(two, units), _names(one, first, two))


def _names(one: str, first: Layer, two: str, second: Layer | None = None) -> tuple[str, ...]:
    names = [f"{one}.weight", f"{two}.weight"]
    names += [f"{one}.bias"] if first.bias is not None else []
    return (*names, *([f"{two}.bias"] if second is not None else []))


def _incoming(name: str, layer: Layer) -> Side:
    parts = [f"{name}.weight", *([f"{name}.bias"] if layer.bias is not None else [])]

    def side(weights: Numbers, gradient: Numbers) -> Tensor:
        products = [weights[part] * gradient[part] for part in parts]
        return torch.stack([product.reshape(len(product), -1).sum(1) for product in products]).sum(0)

    return side


def _outgoing(name: str, units: int) -> Side:
    def side(weights: Numbers, gradient: Numbers) -> Tensor:
        product = weights[f"{name}.weight"] * gradient[f"{name}.weight"]
        return product.reshape(len(product), units, -1).sum((0, 2))

    return side


def _normed(name: str, ratio: Tensor) -> Side:
    def side(weights: Numbers, gradient: Numbers) -> Tensor:
        gamma = weights[f"{name}.weight"]
        return gamma * gradient[f"{name}.weight"] + gamma * ratio * gradient[f"{name}.bias"]

    return side
