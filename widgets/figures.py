"""Still figures for lessons: rows of pictures, tables, bars and curves, as accessible HTML that follows light and dark."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

HUES = ("var(--lab-leak, #c2410c)", "var(--lab-private, #0b7285)", "#7c5cbf", "#5f6b76")
"""What leaks, what is private, and two more."""
WIDE, HIGH, MARGIN = 560, 240, 44


class Figure:
    """Something that a notebook shows: HTML, and plain words where there is none."""

    def __init__(self, markup: str, words: str) -> None:
        self.markup, self.words = markup, words

    def __repr__(self) -> str:
        return self.words

    def _repr_html_(self) -> str:
        return self.markup


def pictures(images: Iterable[Any], captions: Sequence[str], side: int = 128) -> Figure:
    """A row of pictures (tensors of shape (1 or 3, height, width), pixels in [0, 1]) with a caption under each."""
    shown = "".join(_picture(image, caption, side) for image, caption in zip(images, captions, strict=True))
    return Figure(f'<div style="display:flex;flex-wrap:wrap;gap:14px">{shown}</div>', f"Pictures: {'; '.join(captions)}.")


def _picture(image: Any, caption: str, side: int) -> str:
    from lab.pictures import encode_png

    said = html.escape(caption)
    source = "data:image/png;base64," + base64.b64encode(encode_png(image)).decode("ascii")
    style = f"width:{side}px;height:{side}px;object-fit:contain;image-rendering:pixelated;border-radius:8px;display:block"
    text = f'<figcaption style="max-width:{side}px;font-size:13px;line-height:1.35;margin-top:4px">{said}</figcaption>'
    return f'<figure style="margin:0"><img src="{source}" alt="{said}" style="{style}">{text}</figure>'


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Figure:
    """A table whose first column names its rows; numbers are told with three digits."""
    told = [[_told(value) for value in row] for row in rows]
    top = "".join(f'<th scope="col" style="text-align:left;padding:4px 12px">{html.escape(name)}</th>' for name in header)
    body = "".join(f"<tr>{_row(row)}</tr>" for row in told)
    words = "\n".join("\t".join(row) for row in [list(header), *told])
    inside = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return Figure(
        f'<div role="group" aria-label="Table" tabindex="0" style="overflow-x:auto;max-width:100%">{inside}</div>', words
    )


def _row(row: Sequence[str]) -> str:
    first, *others = (html.escape(value) for value in row)
    cells = "".join(f'<td style="text-align:left;padding:4px 12px">{value}</td>' for value in others)
    return f'<th scope="row" style="text-align:left;padding:4px 12px">{first}</th>{cells}'


def bars(values: Mapping[str, float], unit: str = "") -> Figure:
    """A horizontal bar for each value, the value beside it; negative ones are drawn in the other colour."""
    longest = max((abs(value) for value in values.values()), default=0.0) or 1.0
    rows = "".join(_bar(name, value, longest, unit) for name, value in values.items())
    words = "\n".join(f"{name}: {_told(value)}{unit}" for name, value in values.items())
    return Figure(f'<table style="width:100%;max-width:640px"><tbody>{rows}</tbody></table>', words)


def _bar(name: str, value: float, longest: float, unit: str) -> str:
    hue, width = HUES[value < 0], 100 * abs(value) / longest
    strip = f'<div aria-hidden="true" style="height:14px;border-radius:4px;width:{width:.1f}%;background:{hue}"></div>'
    return (
        f'<tr><th scope="row" style="text-align:left;padding:4px 12px">{html.escape(name)}</th>'
        f'<td style="width:55%;padding:4px 0">{strip}</td>'
        f'<td style="text-align:left;padding:4px 12px;white-space:nowrap">{_told(value)}{html.escape(unit)}</td></tr>'
    )


def curves(series: Mapping[str, Sequence[float]], x: str, y: str) -> Figure:
    """A line for each series over its own index, on one scale, with a key that tells first and last value."""
    values = [value for line in series.values() for value in line]
    low, high = min(values), max(values)
    lines = "".join(_line(line, low, high, HUES[place % len(HUES)], place) for place, line in enumerate(series.values()))
    key = "".join(_key(name, line, HUES[place % len(HUES)], place) for place, (name, line) in enumerate(series.items()))
    words = "; ".join(f"{name} from {_told(line[0])} to {_told(line[-1])}" for name, line in series.items())
    drawn = (
        f'<svg viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{html.escape(f"{y} over {x}: {words}", quote=True)}" '
        f'style="width:100%;max-width:{WIDE}px;height:auto;font-size:13px" fill="currentColor">'
        f"{_axes(x, y, low, high)}{lines}</svg>"
    )
    return Figure(f'<div>{drawn}<div style="font-size:13px">{key}</div></div>', f"{y} over {x}: {words}.")


def _axes(x: str, y: str, low: float, high: float) -> str:
    bottom = HIGH - MARGIN / 2
    return (
        f'<path d="M{MARGIN} 18V{bottom}H{WIDE}" fill="none" stroke="currentColor" stroke-opacity=".4"/>'
        f'<text x="{MARGIN + 6}" y="14">{html.escape(y)}</text>'
        f'<text x="{WIDE}" y="{HIGH - 4}" text-anchor="end">{html.escape(x)}</text>'
        f'<text x="{MARGIN - 6}" y="28" text-anchor="end">{_told(high)}</text>'
        f'<text x="{MARGIN - 6}" y="{bottom}" text-anchor="end">{_told(low)}</text>'
    )


def _line(line: Sequence[float], low: float, high: float, hue: str, place: int) -> str:
    bottom, last = HIGH - MARGIN / 2, max(1, len(line) - 1)
    points = (
        f"{MARGIN + (WIDE - MARGIN) * step / last:.1f},{bottom - (bottom - 24) * (value - low) / ((high - low) or 1):.1f}"
        for step, value in enumerate(line)
    )
    dashes = f' stroke-dasharray="{6 * place} 4"' if place else ""
    return f'<polyline points="{" ".join(points)}" fill="none" style="stroke:{hue}" stroke-width="2"{dashes}/>'


def _key(name: str, line: Sequence[float], hue: str, place: int) -> str:
    border = "dashed" if place else "solid"
    swatch = (
        f'<i aria-hidden="true" style="display:inline-block;width:22px;border-top:2px {border} {hue};margin:0 6px 4px 0"></i>'
    )
    text = f"{html.escape(name)}: {_told(line[0])} → {_told(line[-1])}"
    return f'<span style="display:inline-block;margin-right:18px">{swatch}{text}</span>'


def _told(value: Any) -> str:
    """A value as a reader wants it: three digits, yes and no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
