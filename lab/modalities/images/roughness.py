"""How rough pictures are: photographs are smooth in most places, and noise is not."""

from __future__ import annotations

from lab.lazy import torch

from lab.federated.tensors import Images


def roughness(images: Images) -> float:
    """The mean step between neighbouring pixels in [0, 1]; 0 is one grey."""
    steps = [images.diff(dim=axis).abs().mean() for axis in (2, 3) if images.shape[axis] > 1]
    return float(torch.stack(steps).mean()) if steps else 0.0
