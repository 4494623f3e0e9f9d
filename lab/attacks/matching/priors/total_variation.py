"""Total variation: neighbouring pixels should be alike."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Tensor, no_grad, torch

from lab.attacks.matching.priors.base import Prior
from lab.federated.tensors import Images


@dataclass(frozen=True)
class TotalVariation(Prior):
    """Anisotropic total variation, mean |dx| + mean |dy| (Geiping et al. 2020, equation 4)."""

    def __call__(self, images: Images, /) -> Tensor:
        """Per pixel difference, in units of the pixel range."""
        across = (images[..., :, 1:] - images[..., :, :-1]).abs().mean()
        down = (images[..., 1:, :] - images[..., :-1, :]).abs().mean()
        return across + down

    @no_grad
    def value_and_gradient(self, images: Images, /) -> tuple[Tensor, Images]:
        """In closed form: each difference pushes its two pixels apart by its sign."""
        penalty, gradient = images.new_zeros(()), torch.zeros_like(images)
        for side in (-1, -2):
            length = images.shape[side] - 1
            gaps = images.diff(dim=side)
            share = 1 / max(1, gaps.numel())
            penalty.add_(torch.linalg.vector_norm(gaps, 1), alpha=share)
            signs = gaps.sign_()
            gradient.narrow(side, 1, length).add_(signs, alpha=share)
            gradient.narrow(side, 0, length).sub_(signs, alpha=share)
        return penalty, gradient
