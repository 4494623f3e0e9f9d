"""What a vision transformer's first two tensors tell of its picture: one linear system for all patches.

The position embedding is added to each patch's token z_t = W x_t + b + p_t, so its gradient is dL/dz_t, patch by patch. The
patch embedding is one linear layer for all patches, so dL/dW = sum_t (dL/dz_t) x_t^T: with G the rows dL/dz_t and X the rows
x_t this is G^T X = dL/dW, whatever the blocks above do (APRIL: Lu et al., CVPR 2022). The bias adds a check: dL/db is the sum
of the dL/dz_t.

Steps of SGD on one picture, at any rates and with momentum, change each tensor by sum_k c_k g_k with the same c_k, and x_t is
the same at each: the system holds for the change as for the gradient. Weight decay moves all tensors by one factor of what
they were, besides; of it the check tells the factor. Adam scales each number by itself, and nothing holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from lab.lazy import Float, Tensor

from lab.federated.observation import Observation
from lab.federated.tensors import Gradients, Images
from lab.federated.typed_torch import layers_of

MAX_EXTRA_TOKENS = 2
"""Tokens without a place in the picture: the class's, and a teacher's (Touvron et al. 2021)."""
DECAYED_SHARE = 0.5
"""Weight decay is believed where it leaves less than this share of what the check lacks."""

Patches = Float[Tensor, "patches numbers"]
"""A picture as a row for each patch: its channels, each row by row."""


@dataclass(frozen=True)
class Grid:
    """How a picture is cut."""

    channels: int
    rows: int
    columns: int
    height: int
    """Of a patch."""
    width: int

    @property
    def patches(self) -> int:
        """How many there are."""
        return self.rows * self.columns

    def cut(self, picture: Images) -> Patches:
        """The one picture's patches, row by row of the picture."""
        parts = picture.view(self.channels, self.rows, self.height, self.columns, self.width)
        return parts.permute(1, 3, 0, 2, 4).reshape(self.patches, -1)

    def joined(self, patches: Patches) -> Images:
        """The picture that has these patches."""
        parts = patches.view(self.rows, self.columns, self.channels, self.height, self.width)
        return parts.permute(2, 0, 3, 1, 4).reshape(1, self.channels, self.rows * self.height, self.columns * self.width)


@dataclass(frozen=True)
class Embedding:
    """Which tensors of a network embed patches and their places."""

    weight: str
    bias: str | None
    positions: tuple[str, ...]
    """Names of parameters that have the shape of one; none where places are fixed."""
    grid: Grid


@dataclass(frozen=True, eq=False)
class PatchEquations:
    """G^T X = dL/dW in double precision, but for one common factor."""

    grid: Grid
    weight: str
    """The name of the patch embedding."""
    positions: str
    """The name of the position embedding."""
    token_gradients: Float[Tensor, "patches width"]
    """G: dL/dz_t."""
    weight_gradient: Float[Tensor, "width numbers"]
    """dL/dW."""
    gap: float
    """||dL/db - sum_t dL/dz_t|| / ||dL/db||; NaN where the layer has no bias, or its gradient is zero."""
    deviation: float
    """Of the noise on each number, as far as that check tells; 0 where it tells nothing."""
    decayed: float
    """By which share of themselves weight decay changed the weights."""


def find_embedding(network: nn.Module, image_shape: tuple[int, int, int]) -> Embedding | None:
    """The convolution that takes a picture of this shape apart without overlaps, and the parameters as large as its places."""
    channels, *sides = image_shape
    parameters = dict(network.named_parameters())
    for name, layer in layers_of(network, nn.Conv2d).items():
        kernel = (int(layer.kernel_size[0]), int(layer.kernel_size[1]))
        if not _cuts(layer, kernel, image_shape) or f"{name}.weight" not in parameters:
            continue
        rows, columns = (side // length for side, length in zip(sides, kernel, strict=True))
        grid = Grid(channels, rows, columns, *kernel)
        bias = f"{name}.bias" if layer.bias is not None else None
        places = tuple(key for key, value in parameters.items() if _is_as_large(value, grid, layer.out_channels))
        return Embedding(f"{name}.weight", bias, places, grid)
    return None


def _cuts(layer: nn.Conv2d, kernel: tuple[int, int], image_shape: tuple[int, int, int]) -> bool:
    channels, height, width = image_shape
    plain = tuple(layer.stride) == kernel and layer.padding in ((0, 0), "valid") and tuple(layer.dilation) == (1, 1)
    fits = layer.groups == 1 and layer.in_channels == channels and not (height % kernel[0] or width % kernel[1])
    return plain and fits


def _is_as_large(parameter: Tensor, grid: Grid, width: int) -> bool:
    beside = parameter.numel() // width - grid.patches
    return (
        parameter.ndim > 1
        and parameter.shape[-1] == width
        and math.prod(parameter.shape[:-2]) == 1
        and 0 <= beside <= MAX_EXTRA_TOKENS
    )


def read_equations(observation: Observation, embedding: Embedding) -> PatchEquations | None:
    """The system that an update tells, by the places that agree best with the bias; None where the update lacks a tensor."""
    update, network = observation.update, dict(observation.network.named_parameters())
    names = [name for name in embedding.positions if name in update]
    if embedding.weight not in update or not names:
        return None
    wanted = [name for name in (embedding.weight, embedding.bias, *names) if name is not None and name in update]
    changes = {name: _double(update[name]) for name in wanted}
    weights = {name: _double(network[name]) for name in wanted}
    read = [
        _read(embedding, name, offset, changes, weights, decays=sends_change(observation))
        for name in names
        for offset in _offsets(embedding.grid, changes[name])
    ]
    return min(read, key=lambda equations: equations.gap)


def sends_change(observation: Observation) -> bool:
    """Whether the client trained and sent how its weights changed, which stored weights round, and not a gradient."""
    return observation.protocol.steps(observation.batch_size).rate > 0


def _double(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float64)


def _offsets(grid: Grid, positions: Tensor) -> Iterator[int]:
    """How many tokens may stand before the patches, the likeliest first."""
    yield from range(positions.numel() // positions.shape[-1] - grid.patches, -1, -1)


def _read(
    embedding: Embedding, name: str, offset: int, changes: Gradients, weights: Gradients, *, decays: bool
) -> PatchEquations:
    grid = embedding.grid

    def rows(tensors: Gradients) -> Tensor:
        return tensors[name].reshape(-1, tensors[name].shape[-1])[offset : offset + grid.patches]

    def flat(tensors: Gradients) -> Tensor:
        return tensors[embedding.weight].flatten(1)

    token_gradients, weight_gradient, decayed = rows(changes), flat(changes), 0.0
    gap, deviation = math.nan, 0.0
    if embedding.bias is not None and embedding.bias in changes and bool(changes[embedding.bias].any()):
        bias = changes[embedding.bias]
        lacking = bias - token_gradients.sum(0)
        if decays:
            decayed = _decayed(lacking, weights[embedding.bias] - rows(weights).sum(0))
            token_gradients = token_gradients - decayed * rows(weights)
            weight_gradient = weight_gradient - decayed * flat(weights)
            bias = bias - decayed * weights[embedding.bias]
            lacking = bias - token_gradients.sum(0)
        gap = float(lacking.norm() / bias.norm())
        deviation = float(lacking.norm() / (len(bias) * (1 + grid.patches)) ** 0.5)
    return PatchEquations(grid, embedding.weight, name, token_gradients, weight_gradient, gap, deviation, decayed)


def _decayed(lacking: Float[Tensor, " width"], decaying: Float[Tensor, " width"]) -> float:
    """The share by which all weights shrank, where that explains what the check lacks."""
    share = float(lacking @ decaying / decaying.square().sum().clamp_min(1e-300))
    return share if float((lacking - share * decaying).norm()) < DECAYED_SHARE * float(lacking.norm()) else 0.0
