"""The identification test: the picture, among several, that the reconstruction is most like."""

from __future__ import annotations

from enum import Enum

from lab.late import Float, Tensor, functional

from lab.federated.tensors import Images, Suspects

THUMBNAIL = 32
"""Pixels a side at which pictures are compared: what tells people apart shows there already."""
FINE, BROAD = 3, 9
"""Shapes between these two blurs count, in pixels of the thumbnail: not noise, and not the shading of the whole."""


class Verdict(Enum):
    """What a person could do with the reconstruction, told by the line-up; the value is said to the reader."""

    RECOGNISABLE = "Recognisable"
    HINT = "Taking shape"
    HIDDEN = "Not recognisable"


RECOGNISABLE_LIKENESS = 0.75
"""From here on a first place in the line-up counts as recognisable: unrelated pictures stay below 0.2, a smear of
8 x 8 blocks (right colours, no features) near 0.65, and one of 16 x 16 near 0.9."""
HINT_LIKENESS = 0.3


def place(reconstruction: Images, suspects: Suspects) -> tuple[int, float]:
    """Rank of the first suspect by likeness to the reconstruction (ties count against it), and that likeness."""
    likenesses = likeness(reconstruction, suspects)
    return int((likenesses >= likenesses[0]).sum()), float(likenesses[0])


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


def verdict(rank: int, similarity: float) -> Verdict:
    """Recognisable: first in the line-up and alike; taking shape: somewhat alike; else not recognisable."""
    if rank == 1 and similarity >= RECOGNISABLE_LIKENESS:
        return Verdict.RECOGNISABLE
    return Verdict.HINT if rank <= 2 and similarity >= HINT_LIKENESS else Verdict.HIDDEN


def told(rank: int, similarity: float) -> str:
    """A place in words, to be followed by "of 8": "1st", or "like none" where the first, too, is unlike.

    Noise comes first one time in eight; beside *Not recognisable*, a first place would only puzzle.
    """
    return "like none" if rank == 1 and similarity < HINT_LIKENESS else ordinal(rank)


def ordinal(number: int) -> str:
    """A place in words: 1st, 2nd, 3rd, 4th ... 11th ... 21st."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
