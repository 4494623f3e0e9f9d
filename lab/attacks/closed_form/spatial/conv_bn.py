"""A convolution with the batch norm that follows it: in a chain of modules, and on the branches of a residual block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from lab.lazy import Float

from lab.attacks.closed_form.chain import Link, has_stored_statistics, is_plain, scale_and_shift
from lab.attacks.closed_form.convolution import Convolution
from lab.attacks.closed_form.shapes import Kernels
from lab.federated.residual_block import Block
from lab.federated.tensors import Gradients


@dataclass(frozen=True, eq=False)
class ConvBN:
    """conv, then batch norm by stored statistics where there is one."""

    name: str
    layer: nn.Conv2d
    input_shape: tuple[int, ...]
    norm: nn.BatchNorm2d | None = None
    norm_name: str = ""

    @cached_property
    def operator(self) -> Convolution:
        """The convolution as linear maps."""
        return Convolution(self.layer, self.input_shape)

    @cached_property
    def scale(self) -> Float[Tensor, "outputs 1 1"]:
        """d(output) / d(output of the convolution), shape (outputs, 1, 1)."""
        if self.norm is None:
            return torch.ones(self.layer.out_channels, 1, 1, dtype=self.layer.weight.dtype)
        return scale_and_shift(self.norm)[0][0]

    def weight_gradient(self, gradients: Gradients) -> Kernels:
        """dL/dW."""
        return gradients[f"{self.name}.weight"]

    def summed_gradient(self, gradients: Gradients) -> Float[Tensor, " outputs"] | None:
        """The sum over all places of dL/d(output of the convolution), which is a bias's gradient; None without a bias."""
        if self.layer.bias is not None:
            return gradients[f"{self.name}.bias"]
        if self.norm is not None and self.norm.bias is not None:
            return gradients[f"{self.norm_name}.bias"] * self.scale.flatten()
        return None


@dataclass(frozen=True, eq=False)
class BlockConvolutions:
    """The units of a residual block: act(second(act(first(x))) + shortcut(x))."""

    first: ConvBN
    second: ConvBN
    shortcut: ConvBN | None
    """None where it passes x on as it is."""
    to_second: nn.Module
    """From the block's input to that of its second unit."""


def block_convolutions(link: Link) -> BlockConvolutions | None:
    """The units of a block with ReLUs; None for any other module."""
    block = link.module
    if not isinstance(block, Block) or not isinstance(block.activation, nn.ReLU):
        return None
    first = _branch(link.name, "residual", 0, block.residual, link.input_shape)
    if first is None:
        return None
    inner = (1, first.layer.out_channels, *first.operator.output_size)
    second = _branch(link.name, "residual", 3, block.residual, inner)
    if second is None:
        return None
    if isinstance(block.shortcut, nn.Identity):
        return BlockConvolutions(first, second, None, block.residual[:3])
    shortcut = _branch(link.name, "shortcut", 0, block.shortcut, link.input_shape)
    return None if shortcut is None else BlockConvolutions(first, second, shortcut, block.residual[:3])


def _branch(block: str, branch: str, index: int, modules: nn.Sequential, input_shape: tuple[int, ...]) -> ConvBN | None:
    """The unit that begins at the ``index``-th module of a branch."""
    layer, norm = (Link(f"{block}.{branch}.{at}", modules[at], input_shape) for at in (index, index + 1))
    return _conv_bn(layer, norm)


def last_conv_bn(links: Sequence[Link]) -> tuple[ConvBN, int] | None:
    """The convolution, with its batch norm, that these links end in, and how many links lie below; None for another end."""
    norm = links[-1] if links and isinstance(links[-1].module, nn.BatchNorm2d) else None
    below = len(links) - (1 if norm is None else 2)
    conv_bn = _conv_bn(links[below], norm) if below >= 0 else None
    return None if conv_bn is None else (conv_bn, below)


def _conv_bn(layer: Link, norm: Link | None) -> ConvBN | None:
    """None where the one is no convolution, or the other no batch norm, of the kinds that can be undone."""
    if not isinstance(layer.module, nn.Conv2d) or not is_plain(layer.module):
        return None
    if norm is None:
        return ConvBN(layer.name, layer.module, layer.input_shape)
    if not isinstance(norm.module, nn.BatchNorm2d) or not has_stored_statistics(norm.module):
        return None
    return ConvBN(layer.name, layer.module, layer.input_shape, norm.module, norm.name)
