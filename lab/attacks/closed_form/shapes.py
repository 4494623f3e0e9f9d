"""The shapes of what passes through a layer in the closed forms; several pictures stand beside each other in a batch."""

from __future__ import annotations

from lab.lazy import Bool, Float, Tensor

FeatureMaps = Float[Tensor, "pictures channels height width"]
"""What stands between two modules: values there, or the loss's gradient with respect to them."""

BodyOutput = Float[Tensor, "pictures *features"]
"""What leaves a body, whatever it is made of: maps, or tokens, or a vector."""

UnitMask = Bool[Tensor, "pictures channels height width"]
"""A choice among the units of a feature map."""

InputMaps = Float[Tensor, "pictures inputs height width"]
"""What enters a layer."""

OutputMaps = Float[Tensor, "pictures outputs rows columns"]
"""What leaves it."""

OutputMask = Bool[Tensor, "pictures outputs rows columns"]
"""A choice among its outputs."""

Kernels = Float[Tensor, "outputs inputs kernel_height kernel_width"]
"""The weights of a convolution, or the loss's gradient with respect to them."""

MixedKernels = Float[Tensor, "mixtures inputs kernel_height kernel_width"]
"""Sums over their outputs: weight-gradient equations, mixed."""
