"""A convolution as two linear maps of its input: forward, and the weight gradient for a given output gradient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn
from torch.nn import functional

from lab.lazy import Bool, Float

from lab.attacks.closed_form.shapes import InputMaps, Kernels, OutputMaps


@dataclass(frozen=True, eq=False)
class Convolution:
    """conv(x, W) and corr(x, dz) = dL/dW for one ``nn.Conv2d``, with their adjoints in x.

    Both are bilinear and share one adjoint kernel: <corr(x, dz), V> = <dz, conv(x, V)>.
    ``input_shape`` is (pictures, channels, height, width). Several pictures share one weight gradient, the sum of
    their own: in the matrix products they stand side by side, like one picture with more positions.
    """

    layer: nn.Conv2d
    input_shape: tuple[int, ...]

    @property
    def weight(self) -> Kernels:
        """W, shape (outputs, inputs, kernel, kernel)."""
        return self.layer.weight.detach()

    @property
    def pictures(self) -> int:
        """How many pictures share the weight gradient."""
        return self.input_shape[0]

    @property
    def circular(self) -> bool:
        """Whether the picture is continued beyond its border by itself."""
        return self.layer.padding_mode == "circular"

    def apply(self, values: InputMaps, weight: Kernels | None = None) -> OutputMaps:
        """conv(x, W) without the bias."""
        kernel = self.weight if weight is None else weight
        return (kernel.flatten(1) @ self.patches(values)).unflatten(1, (self.pictures, *self.output_size)).transpose(0, 1)

    def adjoint(self, outputs: OutputMaps, weight: Kernels | None = None) -> InputMaps:
        """The transposed convolution A with <conv(x, W), u> = <x, A u>."""
        kernel = self.weight if weight is None else weight
        return self.fold_patches(kernel.flatten(1).T @ channel_matrix(outputs))

    def correlate(self, values: InputMaps, output_gradient: OutputMaps) -> Kernels:
        """corr(x, dz), the weight gradient that the input x makes with the output gradient dz."""
        return (channel_matrix(output_gradient) @ self.patches(values).T).view(-1, *self.weight.shape[1:])

    def apply_and_correlate(self, values: InputMaps, output_gradient: OutputMaps) -> tuple[OutputMaps, Kernels]:
        """conv(x, W) and corr(x, dz), for little more than the price of one."""
        patches = self.patches(values)
        made = (self.weight.flatten(1) @ patches).unflatten(1, (self.pictures, *self.output_size)).transpose(0, 1)
        return made, (channel_matrix(output_gradient) @ patches.T).view(-1, *self.weight.shape[1:])

    def apply_and_correlate_adjoint(self, outputs: OutputMaps, weights: Kernels, output_gradient: OutputMaps) -> InputMaps:
        """The transpose A of ``apply_and_correlate``: <conv(x, W), u> + <corr(x, dz), V> = <x, A (u, V)>."""
        patches = self.weight.flatten(1).T @ channel_matrix(outputs)
        return self.fold_patches(patches.addmm_(weights.flatten(1).T, channel_matrix(output_gradient)))

    @cached_property
    def output_size(self) -> tuple[int, int]:
        """(height, width) of the output."""
        rows, columns = (
            (size + 2 * around - wide * (taps - 1) - 1) // stride + 1
            for size, around, wide, taps, stride in zip(
                self.input_shape[2:], self._padding, self._dilation, self.weight.shape[2:], self._stride, strict=True
            )
        )
        return rows, columns

    def patches(self, values: InputMaps) -> Float[Tensor, "taps positions"]:
        """What the kernel sees at each output position, shape (inputs x kernel x kernel, pictures x positions).

        One matrix product on these is twice as fast as torch's convolution of so small a picture.
        """
        padding = self._padding
        if self.circular:
            rows, columns = padding
            values, padding = functional.pad(values, (columns, columns, rows, rows), mode="circular"), (0, 0)
        return channel_matrix(functional.unfold(values, self.weight.shape[2:], self._dilation, padding, self._stride))

    def fold_patches(self, patches: Float[Tensor, "taps positions"]) -> InputMaps:
        """The adjoint of ``patches``: each entry is added where it was taken from."""
        kernel, (rows, columns) = self.weight.shape[2:], self._padding
        patches = patches.unflatten(1, (self.pictures, -1)).transpose(0, 1)
        height, width = self.input_shape[2:]
        if not self.circular:
            return functional.fold(patches, (height, width), kernel, self._dilation, (rows, columns), self._stride)
        wide = (height + 2 * rows, width + 2 * columns)
        gathered = functional.fold(patches, wide, kernel, self._dilation, 0, self._stride)
        return _fold_border(_fold_border(gathered, rows, -2), columns, -1)

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


def _fold_border(wide: Tensor, border: int, axis: int) -> Tensor:
    """The adjoint of circular padding along one axis: each border is added where it was copied from."""
    if border == 0:
        return wide
    size = wide.shape[axis] - 2 * border
    inner = wide.narrow(axis, border, size).clone()
    inner.narrow(axis, size - border, border).add_(wide.narrow(axis, 0, border))
    inner.narrow(axis, 0, border).add_(wide.narrow(axis, border + size, border))
    return inner


def channel_matrix(
    values: Float[Tensor, "pictures channels *positions"] | Bool[Tensor, "pictures channels *positions"],
) -> Float[Tensor, "channels positions"] | Bool[Tensor, "channels positions"]:
    """(pictures, channels, ...) as a matrix (channels, pictures x positions)."""
    return values.transpose(0, 1).flatten(1)
