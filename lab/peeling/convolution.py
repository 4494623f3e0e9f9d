"""A convolution as two linear maps of its input: forward, and the weight gradient for a given output gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class Convolution:
    """conv(x, W) and corr(x, dz) = dL/dW for one ``nn.Conv2d``, with their adjoints in x.

    Both are bilinear and share one adjoint kernel: <corr(x, dz), V> = <dz, conv(x, V)>.
    ``input_shape`` is (1, channels, height, width).
    """

    layer: nn.Conv2d
    input_shape: tuple[int, ...]

    @property
    def weight(self) -> Tensor:
        """W, shape (outputs, inputs, kernel, kernel)."""
        return self.layer.weight.detach()

    @property
    def circular(self) -> bool:
        """Whether the picture is continued beyond its border by itself."""
        return self.layer.padding_mode == "circular"

    def apply(self, values: Tensor, weight: Tensor | None = None) -> Tensor:
        """conv(x, W) without the bias."""
        kernel = self.weight if weight is None else weight
        padded, padding = self._padded(values)
        return functional.conv2d(padded, kernel, None, self._stride, padding, self._dilation)

    def adjoint(self, outputs: Tensor, weight: Tensor | None = None) -> Tensor:
        """The transposed convolution A with <conv(x, W), u> = <x, A u>."""
        kernel = self.weight if weight is None else weight
        if not self.circular:
            return self._input_gradient(self.input_shape, kernel, outputs, self._padding)
        rows, columns = self._padding
        *batch, height, width = self.input_shape
        wide = self._input_gradient((*batch, height + 2 * rows, width + 2 * columns), kernel, outputs, (0, 0))
        return _fold(_fold(wide, rows, -2), columns, -1)

    def correlate(self, values: Tensor, slope: Tensor) -> Tensor:
        """corr(x, dz), the weight gradient that the input x makes with the output gradient dz."""
        padded, padding = self._padded(values)
        shape = (slope.shape[1], *self.weight.shape[1:])
        return self._backward(slope, padded, _shaped(shape, slope), padding, to_weights=True)

    def correlate_adjoint(self, weights: Tensor, slope: Tensor) -> Tensor:
        """The transposed correlation A with <corr(x, dz), V> = <x, A V>."""
        return self.adjoint(slope, weights)

    def _input_gradient(self, shape: tuple[int, ...], kernel: Tensor, outputs: Tensor, padding: tuple[int, ...]) -> Tensor:
        return self._backward(outputs, _shaped(shape, outputs), kernel, padding, to_weights=False)

    def _backward(self, slope: Tensor, values: Tensor, kernel: Tensor, padding: tuple[int, ...], *, to_weights: bool) -> Tensor:
        """Torch's own backward pass of a convolution, to its weights or to its input."""
        geometry = (list(self._stride), list(padding), list(self._dilation), False, [0, 0], 1)
        wanted = [not to_weights, to_weights, False]
        return torch.ops.aten.convolution_backward(slope, values, kernel, None, *geometry, wanted)[int(to_weights)]

    def _padded(self, values: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        if not self.circular:
            return values, self._padding
        rows, columns = self._padding
        return functional.pad(values, (columns, columns, rows, rows), mode="circular"), (0, 0)

    @property
    def _padding(self) -> tuple[int, ...]:
        assert not isinstance(self.layer.padding, str)
        return self.layer.padding

    @property
    def _stride(self) -> tuple[int, ...]:
        return self.layer.stride

    @property
    def _dilation(self) -> tuple[int, ...]:
        return self.layer.dilation


def _shaped(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """A stand-in of which only the shape matters, without its memory."""
    return like.new_empty(1).expand(shape)


def _fold(wide: Tensor, border: int, axis: int) -> Tensor:
    """The adjoint of circular padding along one axis: each border is added where it was copied from."""
    if border == 0:
        return wide
    size = wide.shape[axis] - 2 * border
    inner = wide.narrow(axis, border, size).clone()
    inner.narrow(axis, size - border, border).add_(wide.narrow(axis, 0, border))
    inner.narrow(axis, 0, border).add_(wide.narrow(axis, border + size, border))
    return inner
