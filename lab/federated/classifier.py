"""What every network is when built: pixels, normalised, through a body into fully connected layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normalise(nn.Module):
    """(pixels - mean) / std, per channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Pixels in [0, 1] to zero mean and unit spread."""
        return (images - self.mean) / self.std

    def inverse(self, values: Tensor) -> Tensor:
        """Back to pixels in [0, 1]."""
        return values * self.std + self.mean


class Classifier(nn.Module):
    """``normalise`` -> ``features`` (any body) -> flatten -> ``head`` (fully connected layers and activations)."""

    def __init__(self, normalise: Normalise, features: nn.Module, head: nn.Sequential, classes: int) -> None:
        super().__init__()
        self.normalise = normalise
        self.features = features
        self.head = head
        self.classes = classes
        for module in self.modules():
            if getattr(module, "inplace", False):  # what a layer was given is looked at again: by derivatives, and by algebra
                vars(module)["inplace"] = False

    def embed(self, images: Tensor) -> Tensor:
        """What enters the head, shape (batch, features)."""
        return self.features(self.normalise(images)).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (batch, classes)."""
        return self.head(self.embed(images))
