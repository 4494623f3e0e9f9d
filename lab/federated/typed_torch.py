"""What torch leaves without types, with those that its documentation names; for the type checker, which else knows nothing."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar, cast

from lab.lazy import Float, Tensor, nn, torch

Layer = TypeVar("Layer")


def layers_of(network: nn.Module, *kinds: type[Layer]) -> dict[str, Layer]:
    """The layers of these kinds, by their names and in the order of ``named_modules()``."""
    named = cast("Iterator[tuple[str, nn.Module]]", network.named_modules())
    return {name: layer for name, layer in named if isinstance(layer, kinds)}


def numbers(vector: Float[Tensor, " numbers"]) -> list[float]:
    """The numbers of a vector."""
    return vector.tolist()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


@contextmanager
def random_numbers_kept(device: torch.device) -> Generator[None, None, None]:
    """Whatever is drawn inside, torch's random numbers go on afterwards as before, on the CPU and on the device."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):  # pyright: ignore[reportUnknownMemberType]
        yield


def rfft2(values: Tensor, size: Sequence[int] | None = None) -> Tensor:
    """The Fourier transform of the last two axes, real numbers padded to ``size``; half of it tells the rest."""
    return torch.fft.rfft2(values, s=size)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def irfft2(spectrum: Tensor, size: Sequence[int]) -> Tensor:
    """The real numbers, ``size`` of their last two axes, that have this transform."""
    return torch.fft.irfft2(spectrum, s=size)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
