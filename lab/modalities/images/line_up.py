"""The identification test: the picture, among several, that the reconstruction is most like."""

from __future__ import annotations

from lab.lazy import Float, Tensor, functional

from lab.federated.tensors import Images, Suspects
from lab.modalities import line_up
from lab.modalities.line_up import Thresholds

THUMBNAIL = 32
"""Pixels a side at which pictures are compared: what tells people apart shows there already."""
FINE, BROAD = 3, 9
"""Shapes between these two blurs count, in pixels of the thumbnail: not noise, and not the shading of the whole."""

THRESHOLDS = Thresholds(recognisable=0.75, hint=0.3)
"""Unrelated pictures stay below 0.2, a smear of 8 x 8 blocks (right colours, no features) near 0.65, of 16 x 16 near 0.9."""


def place(reconstruction: Images, suspects: Suspects) -> tuple[int, float]:
    """Rank of the first suspect by likeness to the reconstruction (ties count against it), and that likeness."""
    return line_up.place(likeness(reconstruction, suspects))


def likeness(reconstruction: Images, suspects: Suspects) -> Float[Tensor, " suspects"]:
    """Correlation of the shapes in two pictures, in [-1, 1]: blind to brightness, contrast and fine noise."""
    return functional.cosine_similarity(_shapes(reconstruction), _shapes(suspects), dim=1, eps=1e-12)


def _shapes(images: Suspects) -> Float[Tensor, "suspects numbers"]:
    """What lies between a fine and a broad blur of the thumbnails."""
    if max(images.shape[-2:]) > THUMBNAIL:
        images = functional.interpolate(images, (THUMBNAIL, THUMBNAIL), mode="area")
    return (_blurred(images, FINE) - _blurred(images, BROAD)).flatten(1)


def _blurred(images: Suspects, size: int) -> Suspects:
    return functional.avg_pool2d(images, size, 1, size // 2, count_include_pad=False)
