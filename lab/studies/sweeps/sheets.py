"""The contact sheet of a study: each cell's pictures in a row, originals above, reconstructions below."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from lab.studies.sweeps.rows import Row
from lab.studies.sweeps.store import Store

HEIGHT = 128
"""Pixels of a row of pictures."""
CAPTION = 24
GAP = 6
MOST = 10
"""Pictures of a cell that are shown."""
WIDTH = 560
"""At least that wide, so that captions fit."""


def contact_sheet(rows: Sequence[Row], store: Store) -> bytes:
    """All cells one below the other as a PNG; a cell without pictures says so."""
    strips = [_strip(row, store) for row in rows]
    width = max(strip.width for strip in strips)
    sheet = Image.new("RGB", (width, sum(strip.height for strip in strips)), "white")
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()


def _strip(row: Row, store: Store) -> Image.Image:
    found = [path for path in map(store.picture, row.cell.experiments) if path is not None][:MOST]
    pictures = [_scaled(path) for path in found]
    width = max(WIDTH, GAP + sum(picture.width + GAP for picture in pictures))
    strip = Image.new("RGB", (width, CAPTION + (HEIGHT + GAP if pictures else 0)), "white")
    ImageDraw.Draw(strip).text((GAP, CAPTION / 2), _caption(row), fill="black", font=ImageFont.load_default(14), anchor="lm")
    left = GAP
    for picture in pictures:
        strip.paste(picture, (left, CAPTION))
        left += picture.width + GAP
    return strip


def _caption(row: Row) -> str:
    if row.main is None:
        return f"{row.cell.name}: not run"
    told = row.modality.measures[row.modality.main].told(row.main.mean)
    return f"{row.cell.name}: {told}, {row.measured} run{'' if row.measured == 1 else 's'}"


def _scaled(path: Path) -> Image.Image:
    with Image.open(path) as image:
        drawn = image.convert("RGB")
    return drawn.resize((round(drawn.width * HEIGHT / drawn.height), HEIGHT), Image.Resampling.NEAREST)
