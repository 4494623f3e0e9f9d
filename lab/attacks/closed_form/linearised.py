"""A module seen from one point: its output, and its derivative as a linear map with its adjoint."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lab.attacks.closed_form.activations import POINTWISE, activation_derivative
from lab.attacks.closed_form.convolution import Convolution
from lab.attacks.closed_form.shapes import FeatureMaps, InputMaps, OutputMaps
from lab.federated.attention import PlainAttention


class Linearised(ABC):
    """One module, linearised at one input."""

    output: OutputMaps

    @abstractmethod
    def jvp(self, tangent: InputMaps) -> OutputMaps:
        """J v: how the output moves with the input."""

    @abstractmethod
    def vjp(self, cotangent: OutputMaps) -> InputMaps:
        """J^T u: from a gradient at the output to the gradient at the input."""


class LinearisedConvolution(Linearised):
    """A convolution; it also remembers its input, which the weight gradient needs."""

    def __init__(self, layer: nn.Conv2d, values: InputMaps) -> None:
        self.input = values
        self.operator = Convolution(layer, tuple(values.shape))
        self.output = self.operator.apply(values)
        if layer.bias is not None:
            self.output = self.output + layer.bias.detach().view(1, -1, 1, 1)

    def jvp(self, tangent: InputMaps) -> OutputMaps:
        """J v."""
        return self.operator.apply(tangent)

    def vjp(self, cotangent: OutputMaps) -> InputMaps:
        """J^T u."""
        return self.operator.adjoint(cotangent)


class LinearisedActivation(Linearised):
    """An activation: its derivative is a diagonal."""

    def __init__(self, activation: nn.Module, values: FeatureMaps) -> None:
        self.output = activation(values)
        self.derivative = activation_derivative(activation, values)
        self._steps = (float(getattr(activation, "negative_slope", 0.0)), 1.0)

    def soften(self, values: FeatureMaps, width: float) -> None:
        """Replace the step of a ReLU's derivative at 0 by a normal distribution's, ``width`` wide; 0 leaves it sharp."""
        if width > 0:
            low, high = self._steps
            self.derivative = low + (high - low) * torch.special.ndtr(values / width)

    def jvp(self, tangent: FeatureMaps) -> FeatureMaps:
        """J v."""
        return self.derivative * tangent

    def vjp(self, cotangent: FeatureMaps) -> FeatureMaps:
        """J^T u."""
        return self.derivative * cotangent


class LinearisedByAutograd(Linearised):
    """Any other module, through torch's record of it (pooling, batch norm in eval mode, a residual block)."""

    def __init__(self, module: nn.Module, values: InputMaps) -> None:
        self._input = values.detach().requires_grad_()
        with PlainAttention():
            self._recorded = module(self._input.clone())  # a module that works in place must not write over a leaf
        self.output = self._recorded.detach()
        self._dual: tuple[Tensor, Tensor] | None = None

    def jvp(self, tangent: InputMaps) -> OutputMaps:
        """J v = d/du <J^T u, v>: forward mode out of two reverse passes."""
        if self._dual is None:
            dual = torch.zeros_like(self._recorded, requires_grad=True)
            (cotangent,) = torch.autograd.grad(self._recorded, self._input, dual, create_graph=True)
            self._dual = (dual, cotangent)
        dual, cotangent = self._dual
        return torch.autograd.grad(cotangent, dual, tangent, retain_graph=True)[0]

    def vjp(self, cotangent: OutputMaps) -> InputMaps:
        """J^T u."""
        return torch.autograd.grad(self._recorded, self._input, cotangent, retain_graph=True)[0]


def linearise(module: nn.Module, values: InputMaps) -> Linearised:
    """The module at these input values, shape (1, channels, height, width)."""
    if isinstance(module, nn.Conv2d) and module.groups == 1:
        return LinearisedConvolution(module, values)
    return LinearisedActivation(module, values) if isinstance(module, POINTWISE) else LinearisedByAutograd(module, values)
