"""Where a picture lies that may have been moved: the circular shift at which two pictures fit best."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Float, Tensor

from lab.federated.typed_torch import irfft2, rfft2


@dataclass(frozen=True)
class Registration:
    """The best fit of a moved picture."""

    down: int
    """Pixels by which the reconstruction lies below its picture, going round the border."""
    right: int
    psnr_db: float
    """PSNR after moving it back."""


def register(
    reconstruction: Float[Tensor, "channel height width"], truth: Float[Tensor, "channel height width"]
) -> Registration:
    """The circular shift with the least square error, by the correlation theorem.

    sum (x(p + s) - t(p))^2 = |x|^2 + |t|^2 - 2 (x corr t)(s), all shifts s at once.
    """
    reconstruction, truth = reconstruction.detach().cpu().double(), truth.detach().cpu().double()
    moved, still = rfft2(reconstruction), rfft2(truth)
    correlation = irfft2(moved * still.conj(), truth.shape[-2:]).sum(0)
    best = int(correlation.argmax())
    height, width = truth.shape[-2:]
    down, right = best // width, best % width
    error = (reconstruction.roll((-down, -right), (-2, -1)) - truth).square().mean().clamp_min(1e-15)
    return Registration(_signed(down, height), _signed(right, width), float(-10 * error.log10()))


def _signed(shift: int, size: int) -> int:
    """A shift by more than half the size is one the other way."""
    return shift - size if shift > size // 2 else shift
