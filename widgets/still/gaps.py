"""What was read off a list, for lessons: what fits, and beside it the nearest that does not, on a scale of powers of ten."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lab.options.words import rounded
from widgets.still.figures import HUES, Figure, embedded, table

if TYPE_CHECKING:
    from lab.attacks.base import RecoveredPart

DECADES = 9
"""From this many powers of ten below 1 on."""
WIDE, HIGH, DOT = 200, 16, 4
"""Of the scale, and half a dot, in pixels."""
FITS, OTHER, LINE = HUES[0], HUES[3], "#9aa3ab"


def gaps(parts: Iterable[RecoveredPart], read: str = "place") -> Figure:
    """A row for each that was ``read``: what fits and how far it is off, a scale with both, and the nearest that does not."""
    rows = [
        (
            place,
            each.what,
            rounded(each.distance, 1),
            _scale(each.distance, each.runner_up_distance),
            rounded(each.runner_up_distance, 2),
            each.runner_up or "none",
        )
        for place, each in enumerate(parts, 1)
    ]
    return table([read, "fits", "off by", f"1e-{DECADES} to 1", "off by", "nearest other"], rows)


def _scale(distance: float, runner_up_distance: float) -> Figure:
    """Both as dots; the words beside it tell the numbers."""
    from PIL import Image, ImageDraw

    strip = Image.new("RGBA", (WIDE, HIGH), (0, 0, 0, 0))
    draw = ImageDraw.Draw(strip)
    draw.line((DOT, HIGH // 2, WIDE - DOT, HIGH // 2), fill=LINE)
    for value, hue in ((runner_up_distance, OTHER), (distance, FITS)):
        place = _place(value)
        draw.ellipse((place - DOT, HIGH // 2 - DOT, place + DOT, HIGH // 2 + DOT), fill=hue)
    file = io.BytesIO()
    strip.save(file, "PNG", optimize=True)
    return Figure(embedded(file.getvalue(), "", WIDE), "")


def _place(value: float) -> int:
    share = 1 + math.log10(max(value, 1e-300)) / DECADES
    return round(DOT + min(max(share, 0.0), 1.0) * (WIDE - 2 * DOT))
