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
    """A row of pictures ``side`` wide, tensors of shape (1 or 3, height, width) with pixels in [0, 1], a caption under each."""
    shown = "".join(_picture(image, caption, side) for image, caption in zip(images, captions, strict=True))
    return Figure(f'<div style="display:flex;flex-wrap:wrap;gap:14px">{shown}</div>', f"Pictures: {'; '.join(captions)}.")


def _picture(image: Any, caption: str, side: int) -> str:
    from lab.pictures import encode_png

    said = html.escape(caption)
    source = "data:image/png;base64," + base64.b64encode(encode_png(image)).decode("ascii")
    style = f"width:{side}px;height:auto;image-rendering:pixelated;border-radius:8px;display:block"
    text = f'<figcaption style="max-width:{side}px;font-size:13px;line-height:1.35;margin-top:4px">{said}</figcaption>'
    return f'<figure style="margin:0"><img src="{source}" alt="{said}" style="{style}">{text}</figure>'


def said(sentence: str) -> Figure:
    """A sentence of the lab's own, set as text."""
    return Figure(f"<p>{html.escape(sentence)}</p>", sentence)


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
    """A horizontal bar for each value, the value beside it; negative ones go left from zero, in the other colour."""
    low, high = min(0.0, *values.values()), max(0.0, *values.values())
    rows = "".join(_bar(name, value, low, (high - low) or 1.0, unit) for name, value in values.items())
    words = "\n".join(f"{name}: {_told(value)}{unit}" for name, value in values.items())
    return Figure(f'<table style="width:100%;max-width:640px"><tbody>{rows}</tbody></table>', words)


def _bar(name: str, value: float, low: float, span: float, unit: str) -> str:
    """One row: the bar begins at zero, which stands where the least value leaves room for it."""
    left, width = 100 * (min(value, 0.0) - low) / span, 100 * abs(value) / span
    shape = f"height:14px;border-radius:4px;margin-left:{left:.1f}%;width:{width:.1f}%;background:{HUES[value < 0]}"
    return (
        f'<tr><th scope="row" style="text-align:left;padding:4px 12px 4px 0;white-space:nowrap">{html.escape(name)}</th>'
        f'<td style="width:99%;padding:4px 0"><div aria-hidden="true" style="{shape}"></div></td>'
        f'<td style="text-align:left;padding:4px 0 4px 12px;white-space:nowrap">{_told(value)}{html.escape(unit)}</td></tr>'
    )


def curves(series: Mapping[str, Sequence[float]], x: str, y: str, every: int = 1) -> Figure:
    """A line for each series, one value ``every`` so many x, on one scale, with a key that tells first and last value."""
    values = [value for line in series.values() for value in line]
    low, high, last = min(values), max(values), every * (max(map(len, series.values())) - 1)
    lines = "".join(_line(line, low, high, HUES[place % len(HUES)], place) for place, line in enumerate(series.values()))
    key = "".join(_key(name, line, HUES[place % len(HUES)], place) for place, (name, line) in enumerate(series.items()))
    words = "; ".join(f"{name} {_course(line)}" for name, line in series.items())
    drawn = (
        f'<svg viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{html.escape(f"{y} over {x}: {words}", quote=True)}" '
        f'style="width:100%;max-width:{WIDE}px;height:auto;font-size:13px" fill="currentColor">'
        f"{_axes(x, y, low, high, last)}{lines}</svg>"
    )
    return Figure(f'<div>{drawn}<div style="font-size:13px">{key}</div></div>', f"{y} over {x}: {words}.")


def _axes(x: str, y: str, low: float, high: float, last: int) -> str:
    bottom = HIGH - MARGIN / 2
    return (
        f'<path d="M{MARGIN} 18V{bottom}H{WIDE}" fill="none" stroke="currentColor" stroke-opacity=".4"/>'
        f'<text x="{MARGIN + 6}" y="14">{html.escape(y)}</text>'
        f'<text x="{MARGIN}" y="{HIGH - 4}">0</text>'
        f'<text x="{WIDE}" y="{HIGH - 4}" text-anchor="end">{html.escape(x)} {last}</text>'
        f'<text x="{MARGIN - 6}" y="28" text-anchor="end">{_brief(high)}</text>'
        f'<text x="{MARGIN - 6}" y="{bottom}" text-anchor="end">{_brief(low)}</text>'
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
    text = f"{html.escape(name)} {_course(line)}"
    return f'<span style="display:inline-block;margin-right:18px">{swatch}{text}</span>'


def _course(line: Sequence[float]) -> str:
    """Where a line begins and ends; one that never moves is one number."""
    first, last = _brief(line[0]), _brief(line[-1])
    return first if min(line) == max(line) else f"from {first} to {last}"


def _brief(value: float) -> str:
    """Three digits at most, with a true minus sign."""
    return f"{value:.3g}".replace("-", "−", 1) if value < 0 else f"{value:.3g}"


def _told(value: Any) -> str:
    """A value in a column: three digits, yes and no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value:
        digits = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")
        return f"−{digits[1:]}" if value < 0 else digits
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
