"""A change of variables under which a convolution sees all colours and frequencies about equally.

Trained first layers look at some colour mixtures and frequencies a hundred times harder than at
others, and conjugate gradients take an iteration for each difference. With zero padding the
frequencies are only nearly independent, so this speeds the solve up and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from lab.attacks.closed_form.shapes import FeatureMaps
from lab.federated.typed_torch import irfft2, rfft2

SPECTRAL_FLOOR = 1e-3
"""Directions fainter than this share (in power) of the loudest are not amplified further."""


def whitener(layer: nn.Conv2d, shape: tuple[int, ...]) -> Callable[[FeatureMaps], FeatureMaps]:
    """S = (W* W)^(-1/2), frequency by frequency, for inputs of ``shape`` (1, channels, height, width); self-adjoint."""
    size = (shape[2], shape[3])
    response = rfft2(layer.weight.detach(), size)
    power = torch.einsum("ocyx,odyx->yxcd", response, response.conj())
    powers, mixtures = torch.linalg.eigh(power)
    powers = powers.clamp_min(SPECTRAL_FLOOR * powers.max())
    roots = (mixtures * powers.rsqrt().unsqueeze(-2)) @ mixtures.mH
    return lambda values: irfft2(torch.einsum("yxcd,bdyx->bcyx", roots, rfft2(values)), size)
