"""A network drawn without its numbers: what each layer holds, keeps for the way back and multiplies, from shapes alone.

Weights and what passes the layers are torch's meta tensors, which have shapes and no memory. Nothing is computed with them:
torch would work out even a sum of them in Python, at the first one after 3 s of imports.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from lab.client.defences.base import Defence
from lab.client.defending import extended_head
from lab.federated.causal_transformer import SentenceLikelihood, TokenEmbedding, WordMean
from lab.federated.inputs import built
from lab.federated.networks.base import Network
from lab.federated.residual_block import Block
from lab.federated.shapes import output_shape
from lab.federated.tensors import Shape
from lab.federated.transformer import SelfAttention

META = torch.device("meta")
NORMS = (nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm2d)
KEEPS_INPUT = (
    nn.Conv2d,
    *NORMS,
    nn.Linear,
    nn.LeakyReLU,
    nn.SiLU,
    nn.GELU,
    nn.ELU,
    nn.MaxPool2d,
    SelfAttention,
    TokenEmbedding,
    WordMean,
)
"""Layers whose way back needs what entered them."""
KINKED = (nn.ReLU, nn.LeakyReLU, nn.MaxPool2d)
KEEPS_OUTPUT = (nn.ReLU, nn.Sigmoid, nn.Tanh)


@dataclass(frozen=True)
class Layer:
    """One layer that somebody passes; numbers are of one picture."""

    inputs: int
    outputs: int
    weights: int
    products: int
    """Multiply-adds of the forward pass."""
    channels: int
    """Of its input; 0 for a layer without weights."""
    places: tuple[int, ...]
    """Height and width of its input; (1, 1) of a fully connected one."""
    seen: int
    """Places of its output."""
    unfolded: int
    """Numbers of all patches that a convolution sees; 0 for others."""
    head: bool
    """Whether it is one of the fully connected ones above the body."""
    biased: bool
    words: int
    """Word pieces that it has a vector for."""

    @property
    def width(self) -> int:
        """Numbers of a word."""
        return self.outputs * self.words // self.inputs

    @property
    def entering(self) -> int:
        """Numbers that enter a fully connected layer at once, at each node where there are several."""
        return max(1, self.inputs // max(self.channels, 1))


@dataclass(frozen=True)
class NetworkProfile:
    """A network's sizes, in numbers; those without ``weights`` are of one picture."""

    layers: tuple[Layer, ...]
    weights: int
    """Parameters and buffers together."""
    largest_weight: int
    numbers: int
    """Of one input."""
    kept: int
    """What the forward pass keeps for the way back."""
    decided: int
    """What ReLUs and max-poolings decide."""

    is_open: bool
    """Whether neither a max-pooling nor a skip stands between its layers: the way down meets each of them."""

    @property
    def products(self) -> int:
        """Multiply-adds of the forward pass."""
        return sum(layer.products for layer in self.layers)

    @property
    def widest(self) -> int:
        """The most that enters and leaves one layer."""
        return max(layer.inputs + layer.outputs for layer in self.layers)


def profile_of(network: Network, shape: Shape, classes: int, defences: tuple[Defence, ...] = ()) -> NetworkProfile:
    """The sketch of a network for inputs of that shape, with what defences put into it.

    Raises ``LabError`` for pictures too small for its layers, and where it has no place for a defence.
    """
    return _sketch(network, tuple(shape.items()) if isinstance(shape, Mapping) else shape, classes, defences)


@lru_cache(maxsize=64)
def _sketch(network: Network, sizes: tuple[Any, ...], classes: int, defences: tuple[Defence, ...]) -> NetworkProfile:
    """The same, of a shape that can be looked up: sizes, or pairs of a name and sizes."""
    shape: Shape = dict(sizes) if isinstance(sizes[0], tuple) else sizes
    with META:
        body, head = network.modules(shape, classes)
        head = extended_head(defences, head)
    drawn, input_transform = _Profiler(set(head.modules())), network.input_transform(shape).to(META)
    whole = nn.Sequential(input_transform, body, nn.Flatten(), head).eval()
    for module in whole.modules():
        brings_together = module is input_transform and isinstance(shape, Mapping)  # which it does itself
        if not list(module.children()) and not brings_together:
            module.forward = drawn.of(module)
    whole(built(shape, lambda own: shape_tensor(1, *own)))
    tensors = [*whole.parameters(), *whole.buffers()]
    return NetworkProfile(
        layers=tuple(drawn.layers),
        weights=sum(tensor.numel() for tensor in tensors),
        largest_weight=max(tensor.numel() for tensor in tensors),
        numbers=sum(math.prod(own) for own in (shape.values() if isinstance(shape, Mapping) else [shape])),
        kept=sum(passed.numel() for passed in drawn.kept.values()) + drawn.beside,
        decided=drawn.decided,
        is_open=not any(isinstance(module, nn.MaxPool2d | Block) for module in whole.modules()),
    )


class ShapeTensor(Tensor):
    """What passes the layers: a shape without numbers, the pictures first."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What stands between layers: sums, and parts side by side; the rest asks for shapes or makes views."""
        if function in SUMS:
            return shape_tensor(*args[0].shape)
        if function is torch.cat:
            return _side_by_side(*args, **(kwargs or {}))
        return super().__torch_function__(function, types, args, kwargs)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


SUMS = (Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__iadd__)


def _side_by_side(parts: Sequence[Tensor], dim: int = 0) -> ShapeTensor:
    sizes = list(parts[0].shape)
    sizes[dim] = sum(part.shape[dim] for part in parts)
    return shape_tensor(*sizes)


def shape_tensor(*shape: int) -> ShapeTensor:
    """Something of that shape."""
    return torch.empty(shape, device=META, dtype=torch.float32).as_subclass(ShapeTensor)


@dataclass
class _Profiler:
    """What the layers leave behind as a picture passes."""

    head: set[nn.Module]
    layers: list[Layer] = field(default_factory=list[Layer])
    kept: dict[int, ShapeTensor] = field(default_factory=dict[int, ShapeTensor])
    """By identity: what two layers keep is kept once."""
    beside: int = 0
    """Numbers kept by one layer alone: places that max-poolings took, of 8 bytes each, and pictures continued by themselves."""
    decided: int = 0

    def of(self, module: nn.Module) -> Callable[[ShapeTensor], ShapeTensor]:
        """A ``forward`` for this layer that draws its output."""

        def forward(values: ShapeTensor, *_: ShapeTensor) -> ShapeTensor:
            result = shape_tensor(*output_shape(module, values.shape))
            self.layers.append(_layer(module, values, result, head=module in self.head))
            if isinstance(module, KEEPS_INPUT):
                self.kept[id(values)] = values
            if isinstance(module, KEEPS_OUTPUT):
                self.kept[id(result)] = result
            self.beside += _kept_beside(module, values, result)
            self.decided += result.numel() if isinstance(module, KINKED) else 0
            return result

        return forward


def _kept_beside(module: nn.Module, values: ShapeTensor, result: ShapeTensor) -> int:
    if isinstance(module, SelfAttention):
        return 2 * module.heads * values.shape[1] ** 2 + values.numel()
    if isinstance(module, SentenceLikelihood):
        return 3 * values.numel()  # the logarithms, and what is wanted, made of two
    if isinstance(module, nn.MaxPool2d):
        return 2 * result.numel()
    if isinstance(module, nn.Conv2d) and module.padding_mode != "zeros":
        rows, columns = (2 * int(side) for side in module.padding)
        return values.shape[1] * (values.shape[2] + rows) * (values.shape[3] + columns)
    return 0


def _layer(module: nn.Module, values: ShapeTensor, result: ShapeTensor, *, head: bool) -> Layer:
    weighty = isinstance(module, nn.Conv2d | nn.Linear)
    kernel = module.weight.numel() // len(module.weight) if weighty else 0
    if isinstance(module, SelfAttention):
        kernel = 2 * values.shape[1]
    elif isinstance(module, TokenEmbedding):
        kernel = len(module.words)
    return Layer(
        inputs=values.numel(),
        outputs=result.numel(),
        weights=sum(parameter.numel() for parameter in module.parameters()),
        products=result.numel() * kernel,
        channels=values.shape[1] if weighty else 0,
        places=values.shape[2:] if isinstance(module, nn.Conv2d) else (1, 1),
        seen=math.prod(result.shape[2:]),
        unfolded=math.prod(result.shape[2:]) * kernel if isinstance(module, nn.Conv2d) else 0,
        head=head and isinstance(module, nn.Linear),
        biased=getattr(module, "bias", None) is not None,
        words=len(module.words) if isinstance(module, TokenEmbedding) else 0,
    )
