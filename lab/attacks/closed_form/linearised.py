"""A module seen from one point: its output, and its derivative as a linear map with its adjoint."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lab.attacks.closed_form.activations import POINTWISE, derivative
from lab.attacks.closed_form.convolution import Convolution
from lab.federated.attention import PlainAttention


class Piece(ABC):
    """One module of a stretch, linearised at one input."""

    output: Tensor

    @abstractmethod
    def tangent(self, moved: Tensor) -> Tensor:
        """J v: how the output moves with the input."""

    @abstractmethod
    def cotangent(self, pulled: Tensor) -> Tensor:
        """J^T u: from a gradient at the output to the gradient at the input."""


class ConvolutionPiece(Piece):
    """A convolution; it also remembers its input, which the weight gradient needs."""

    def __init__(self, layer: nn.Conv2d, values: Tensor) -> None:
        self.input = values
        self.operator = Convolution(layer, tuple(values.shape))
        self.output = self.operator.apply(values)
        if layer.bias is not None:
            self.output = self.output + layer.bias.detach().view(1, -1, 1, 1)

    def tangent(self, moved: Tensor) -> Tensor:
        """J v."""
        return self.operator.apply(moved)

    def cotangent(self, pulled: Tensor) -> Tensor:
        """J^T u."""
        return self.operator.adjoint(pulled)


class PointwisePiece(Piece):
    """An activation: its derivative is a diagonal."""

    def __init__(self, activation: nn.Module, values: Tensor) -> None:
        self.output = activation(values)
        self.slope = derivative(activation, values)
        self._steps = (float(getattr(activation, "negative_slope", 0.0)), 1.0)

    def soften(self, values: Tensor, width: float) -> None:
        """Replace the step of a ReLU's slope at 0 by a normal distribution's, ``width`` wide; 0 leaves it sharp."""
        if width > 0:
            low, high = self._steps
            self.slope = low + (high - low) * torch.special.ndtr(values / width)

    def tangent(self, moved: Tensor) -> Tensor:
        """J v."""
        return self.slope * moved

    def cotangent(self, pulled: Tensor) -> Tensor:
        """J^T u."""
        return self.slope * pulled


class RecordedPiece(Piece):
    """Any other module, through torch's record of it (pooling, batch norm in eval mode, a residual block)."""

    def __init__(self, module: nn.Module, values: Tensor) -> None:
        self._input = values.detach().requires_grad_()
        with PlainAttention():
            self._recorded = module(self._input.clone())  # a module that works in place must not write over a leaf
        self.output = self._recorded.detach()
        self._dual: tuple[Tensor, Tensor] | None = None

    def tangent(self, moved: Tensor) -> Tensor:
        """J v = d/du <J^T u, v>: forward mode out of two reverse passes."""
        if self._dual is None:
            dual = torch.zeros_like(self._recorded, requires_grad=True)
            (pulled,) = torch.autograd.grad(self._recorded, self._input, dual, create_graph=True)
            self._dual = (dual, pulled)
        dual, pulled = self._dual
        return torch.autograd.grad(pulled, dual, moved, retain_graph=True)[0]

    def cotangent(self, pulled: Tensor) -> Tensor:
        """J^T u."""
        return torch.autograd.grad(self._recorded, self._input, pulled, retain_graph=True)[0]


def linearise(module: nn.Module, values: Tensor) -> Piece:
    """The module at these input values, shape (1, channels, height, width)."""
    if isinstance(module, nn.Conv2d) and module.groups == 1:
        return ConvolutionPiece(module, values)
    return PointwisePiece(module, values) if isinstance(module, POINTWISE) else RecordedPiece(module, values)
