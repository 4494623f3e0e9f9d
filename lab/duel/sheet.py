"""The contact sheet of a duel: for each network and phase a row a defence, and in it five strengths, naive beside knowing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from lab.duel.duel import NOBODY, DuelCell
from lab.studies.sweeps.rows import Row
from lab.studies.sweeps.store import Store

SIDE, CAPTION, GAP = 64, 18, 4
"""Pixels of a picture, of a line of text, between two."""


def contact_sheet(bouts: Sequence[DuelCell], rows: Sequence[Row], store: Store) -> bytes:
    """The first picture of every bout that was measured, original above reconstruction, as a PNG."""
    lines = dict[str, list[Path]]()
    for bout, row in zip(bouts, rows, strict=True):
        picture = next((path for path in map(store.picture, row.cell.experiments) if path is not None), None)
        if picture is not None and row.results:
            who = NOBODY if bout.defence is None else bout.defence.name
            lines.setdefault(f"{bout.network.name} {bout.phase}: {who}", []).append(picture)
    height = CAPTION + 2 * SIDE + GAP
    widest = max((len(pictures) for pictures in lines.values()), default=1)
    sheet = Image.new("RGB", (max(6 * SIDE, widest * (SIDE + GAP) + GAP), max(1, len(lines)) * height), "white")
    for place, (title, pictures) in enumerate(lines.items()):
        ImageDraw.Draw(sheet).text((GAP, place * height), title, fill="black", font=ImageFont.load_default(14))
        for column, path in enumerate(pictures):
            sheet.paste(_tile(path), (GAP + column * (SIDE + GAP), place * height + CAPTION))
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()


def _tile(path: Path) -> Image.Image:
    """The first picture and what was made of it, one above the other."""
    with Image.open(path) as image:
        drawn = image.convert("RGB")
    first = drawn.crop((0, 0, drawn.height // 2, drawn.height))
    return first.resize((SIDE, 2 * SIDE), Image.Resampling.NEAREST)
