"""Structural similarity of two pictures (Z. Wang, A. Bovik, H. Sheikh, E. Simoncelli: *Image Quality Assessment*, 2004)."""

from __future__ import annotations

from lab.lazy import Float, Tensor, functional, torch

from lab.federated.tensors import Images

WINDOW, SPREAD = 7, 1.5
"""Side of the Gaussian window and its standard deviation, in pixels."""
DARK, FLAT = 0.01**2, 0.03**2
"""The paper's constants, for pixels from 0 to 1: they keep black and flat windows from dividing nothing by nothing."""


def ssim(candidate: Images, truth: Images) -> Float[Tensor, " batch"]:
    """Mean structural similarity of each picture, shape (batch,): 1 for equal ones; the border is mirrored."""
    mean, true_mean = _windows(candidate), _windows(truth)
    variance, true_variance = _windows(candidate**2) - mean**2, _windows(truth**2) - true_mean**2
    covariance = _windows(candidate * truth) - mean * true_mean
    alike = (2 * mean * true_mean + DARK) * (2 * covariance + FLAT)
    return (alike / ((mean**2 + true_mean**2 + DARK) * (variance + true_variance + FLAT))).flatten(1).mean(1)


def _windows(images: Images) -> Images:
    """What a window around each pixel weighs to, channel by channel."""
    places = torch.arange(WINDOW, dtype=images.dtype, device=images.device) - WINDOW // 2
    weights = torch.softmax(-(places**2) / (2 * SPREAD**2), 0)
    mirrored = functional.pad(images.flatten(0, 1)[:, None], 4 * (WINDOW // 2,), mode="reflect")
    along_rows = functional.conv2d(mirrored, weights[None, None, None])
    return functional.conv2d(along_rows, weights[None, None, :, None]).view_as(images)
