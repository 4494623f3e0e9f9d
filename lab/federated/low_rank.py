"""Linear layers of which a client trains a low-rank pair alone (LoRA, Hu et al. 2021): y = W x + b + s B A x with W frozen.

Two small tensors are sent. With d = dL/dy they are dL/dA = s B^T d x^T and dL/dB = s d (A x)^T: of one picture both are a
column times a row, and the row of the first is x itself, up to its length. In a client's first round B is zero, and so is
dL/dA; the other one tells A x, as many numbers of x as the pair has ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lab.lazy import Float

from lab.federated.updates import nearest_multiple
from lab.randomness import normal_like, stream

OUTPUT_TOLERANCE = 1e-4
"""Relative, up to which two layers' outputs are the same but for rounding."""


class LowRankLinear(nn.Linear):
    """W x + b + s B A x; ``weight`` is W + s B A, as whoever passes through the layer has it, and no parameter."""

    def __init__(self, base: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scale: float) -> None:
        nn.Module.__init__(self)
        self.out_features, self.in_features = base.shape
        self.base, self.bias = base, bias
        self.down, self.up, self.scale = down, up, scale

    @property
    def weight(self) -> Float[Tensor, "outputs inputs"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the layer as a whole."""
        return self.base + self.scale * self.up @ self.down

    def forward(self, input: Tensor) -> Tensor:
        """Through W, and through the pair beside it."""
        return functional.linear(input, self.base, self.bias) + self.scale * (input @ self.down.T @ self.up.T)


def as_low_rank(part: nn.Module, values: Tensor) -> LowRankLinear | None:
    """A part of a model as such a layer with the part's own parameters; None of one that computes something else.

    Whatever its names and its formula: W is the matrix that does not train, and what the part makes of ``values``, shape
    (pictures, inputs), decides.
    """
    weights = dict(part.named_parameters())
    matrices = [name for name, weight in weights.items() if weight.ndim == 2]
    vectors = [name for name, weight in weights.items() if weight.ndim == 1]
    if values.ndim != 2 or len(matrices) != 3 or len(vectors) > 1 or len(weights) != len(matrices) + len(vectors):
        return None
    for base, down, up in permutations(matrices):
        rank, outputs = len(weights[down]), len(weights[base])
        fits = weights[base].shape[1] == weights[down].shape[1] == values.shape[1] and weights[up].shape == (outputs, rank)
        if not fits or weights[base].requires_grad or not weights[down].requires_grad or not weights[up].requires_grad:
            continue
        bias = weights[vectors[0]] if vectors else None
        layer = LowRankLinear(weights[base], bias, weights[down], weights[up], 1.0)
        layer.scale = _scale(part, layer, up, values)
        if _is_same(part, layer, up, values):
            return layer
    return None


@torch.no_grad()
def _scale(part: nn.Module, layer: LowRankLinear, up: str, values: Tensor) -> float:
    """S, by what the part makes of some B, which may be zero as it is."""
    some, none = _witnesses(layer)
    added = _through(part, up, values, some) - _through(part, up, values, none)
    return nearest_multiple((values @ layer.down.T @ some.T).flatten(), added.flatten())[0]


@torch.no_grad()
def _is_same(part: nn.Module, layer: LowRankLinear, up: str, values: Tensor) -> bool:
    """Whether both make the same of the values at any B."""
    pairs = [(_through(part, up, values, other), _through(layer, "up", values, other)) for other in _witnesses(layer)]
    return all(float((one - other).abs().max()) <= OUTPUT_TOLERANCE * float(one.abs().max()) for one, other in pairs)


def _witnesses(layer: LowRankLinear) -> Iterator[Tensor]:
    """Some B, and none."""
    yield normal_like(layer.up, stream(0, "a pair's matrix"))
    yield torch.zeros_like(layer.up)


def _through(part: nn.Module, up: str, values: Tensor, other: Tensor) -> Tensor:
    return torch.func.functional_call(part, {up: other}, (values,))
