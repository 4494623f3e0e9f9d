"""How alike two pictures are: MSE and PSNR."""

from __future__ import annotations

from lab.lazy import Float, Tensor

from lab.federated.tensors import Images


def mse(candidate: Images, truth: Images) -> Float[Tensor, " batch"]:
    """Mean square error of each picture, shape (batch,)."""
    return (candidate - truth).square().flatten(1).mean(1)


def psnr_db(candidate: Images, truth: Images) -> Float[Tensor, " batch"]:
    """Peak signal-to-noise ratio of each picture in dB, shape (batch,); at most 150."""
    return -10 * mse(candidate, truth).clamp_min(1e-15).log10()
