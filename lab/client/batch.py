"""What a client has: its private pictures and their labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lab.late import torch

from lab.federated.tensors import Images, Labels


@dataclass(frozen=True, eq=False)
class Batch:
    """The client's private pictures (pixels in [0, 1]) and their class numbers."""

    images: Images
    labels: Labels
    notes: tuple[str, ...] = ()
    """What was made of the pictures and weights given that needs saying, a sentence each."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))
