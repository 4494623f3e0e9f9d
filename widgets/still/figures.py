"""Still figures for lessons: rows of pictures, tables, bars and curves, as HTML that means the same without its styles.

Whatever is drawn is a PNG inside the HTML: a notebook that is not trusted, a copy from a colleague say, shows pictures and
tables, and neither SVG nor most styles. Numbers are text, beside the drawing.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

HUES = ("#d9480f", "#0b7285", "#7c5cbf", "#5f6b76")
"""What leaks, what is private, and two more: each tells itself apart on white and on the dark theme."""
SHAPES = "os^D"
BAR_WIDE, BAR_HIGH = 200, 14
"""Of the longest bar, in pixels."""
CURVES_WIDE, CURVES_HIGH, FINE = 560, 240, 2
"""Of a plot, in pixels, and how many dots make a pixel."""
KEPT_WIDE = 320
"""Of the picture that stays of a live view, in pixels."""


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
    from lab.modalities.images.codec import encode_png

    said = html.escape(caption)
    source = "data:image/png;base64," + base64.b64encode(encode_png(image)).decode("ascii")
    style = "height:auto;image-rendering:pixelated;border-radius:8px;display:block"
    text = f'<figcaption style="max-width:{side}px;font-size:13px;line-height:1.35;margin-top:4px">{said}</figcaption>'
    return f'<figure style="margin:0"><img src="{source}" alt="{said}" width="{side}" style="{style}">{text}</figure>'


def kept(png: bytes | None, sentence: str) -> Figure:
    """A picture, where there is one, over a sentence that tells what it is; the view beside it may hide it by its class."""
    drawn = "" if png is None else embedded(png, sentence, KEPT_WIDE)
    return Figure(f'<figure class="lab-still">{drawn}<figcaption>{html.escape(sentence)}</figcaption></figure>', sentence)


def said(sentence: str) -> Figure:
    """A sentence of the lab's own, set as text."""
    return Figure(f"<p>{html.escape(sentence)}</p>", sentence)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Figure:
    """A table whose first column names its rows; numbers are told with three digits, figures stand as they are."""
    told = [[_cell(value) for value in row] for row in rows]
    top = "".join(f'<th scope="col" style="text-align:left;padding:4px 12px">{html.escape(name)}</th>' for name in header)
    body = "".join(f"<tr>{_row(row)}</tr>" for row in told)
    words = "\n".join("\t".join(row) for row in [list(header), *([cell.words for cell in row] for row in told)])
    inside = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return Figure(
        f'<div role="group" aria-label="Table" tabindex="0" style="overflow-x:auto;max-width:100%">{inside}</div>', words
    )


def _cell(value: Any) -> Figure:
    return value if isinstance(value, Figure) else Figure(html.escape(_told(value)), _told(value))


def _row(row: Sequence[Figure]) -> str:
    first, *others = (cell.markup for cell in row)
    cells = "".join(f'<td style="text-align:left;padding:4px 12px">{markup}</td>' for markup in others)
    return f'<th scope="row" style="text-align:left;padding:4px 12px">{first}</th>{cells}'


def bars(values: Mapping[str, float], unit: str = "") -> Figure:
    """A horizontal bar for each value, the value beside it; negative ones go left from zero, in the other colour."""
    low, high = min(0.0, *values.values()), max(0.0, *values.values())
    rows = "".join(_bar(name, value, low, (high - low) or 1.0, unit) for name, value in values.items())
    words = "\n".join(f"{name}: {_told(value)}{unit}" for name, value in values.items())
    return Figure(f"<table><tbody>{rows}</tbody></table>", words)


def _bar(name: str, value: float, low: float, span: float, unit: str) -> str:
    """One row; no width is set in shares, so that any layout of tables keeps label, bar and value apart."""
    drawn = embedded(_strip(value, low, span), "", BAR_WIDE)
    cell = '<td style="text-align:left;padding:4px 12px">'
    return (
        f'<tr><th scope="row" style="text-align:left;padding:4px 12px 4px 0">{html.escape(name)}</th>'
        f"{cell}{drawn}</td>{cell}{_told(value)}{html.escape(unit)}</td></tr>"
    )


def _strip(value: float, low: float, span: float) -> bytes:
    """The bar as a PNG, clear where it is not; it begins at zero, which stands where the least value leaves room for it."""
    from PIL import Image, ImageColor

    zero, end = (round((place - low) / span * BAR_WIDE) for place in (0.0, value))
    strip = Image.new("RGBA", (BAR_WIDE, BAR_HIGH), (0, 0, 0, 0))
    strip.paste(ImageColor.getrgb(HUES[value < 0]), (min(zero, end), 0, max(zero, end), BAR_HIGH))
    if low < 0:
        strip.paste((128, 128, 128), (min(zero, BAR_WIDE - 1), 0, min(zero, BAR_WIDE - 1) + 1, BAR_HIGH))
    file = io.BytesIO()
    strip.save(file, "PNG", optimize=True)
    return file.getvalue()


def curves(series: Mapping[str, Sequence[float]], x: str, y: str, every: int = 1) -> Figure:
    """A line for each series, one value ``every`` so many x, on one scale, with a key that tells first and last value."""
    words = "; ".join(f"{name} {_course(line)}" for name, line in series.items())
    drawn = embedded(_plot(series, x, y, every), f"{y} over {x}: {words}", CURVES_WIDE)
    return Figure(f"<div>{drawn}<p>{html.escape(words)}</p></div>", f"{y} over {x}: {words}.")


def dots(series: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str) -> Figure:
    """A mark for each pair of numbers, a hue and a shape for each series, and in words how far each of them ranges."""
    words = "; ".join(f"{name} ({len(places)}), {_ranges(places)}" for name, places in series.items())
    drawing, axes = _axes(x, y)
    for place, (name, places) in enumerate(series.items()):
        shape, hue = SHAPES[place % len(SHAPES)], HUES[place % len(HUES)]
        axes.scatter(*zip(*places, strict=True), s=26, alpha=0.8, label=name, color=hue, marker=shape)
    drawing.set_figheight(1.4 * drawing.get_figheight())
    drawing.legend(loc="outside lower center", ncols=2, frameon=False)
    drawn = embedded(_png(drawing), f"{y} over {x}: {words}", CURVES_WIDE)
    return Figure(f"<div>{drawn}</div>", f"{y} over {x}: {words}.")


def _ranges(places: Sequence[tuple[float, float]]) -> str:
    across, up = ((min(side), max(side)) for side in zip(*places, strict=True))
    return f"from {_brief(up[0])} to {_brief(up[1])} between {_brief(across[0])} and {_brief(across[1])}"


def _plot(series: Mapping[str, Sequence[float]], x: str, y: str, every: int) -> bytes:
    drawing, axes = _axes(x, y)
    for place, (name, line) in enumerate(series.items()):
        steps = [every * step for step in range(len(line))]
        axes.plot(steps, line, label=name, color=HUES[place % len(HUES)], linestyle=(0, (4, 2)) if place else "-")
    if len(series) > 1:
        axes.legend(frameon=False)
    return _png(drawing)


def _axes(x: str, y: str) -> tuple[Drawing, Axes]:
    """Dark on white in either theme, and on paper."""
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(CURVES_WIDE / 100, CURVES_HIGH / 100), dpi=100 * FINE, layout="constrained")
    axes = drawing.add_subplot(xlabel=x, title=y)
    axes.spines[["top", "right"]].set_visible(False)
    return drawing, axes


def _png(drawing: Drawing) -> bytes:
    file = io.BytesIO()
    drawing.savefig(file, format="png")
    return file.getvalue()


def embedded(png: bytes, alternative: str, wide: int) -> str:
    """A picture inside HTML, with its width as an attribute: styles may be taken away."""
    source = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    return (
        f'<img src="{source}" alt="{html.escape(alternative, quote=True)}" width="{wide}" style="max-width:100%;height:auto">'
    )


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
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    return f"{value:g}" if isinstance(value, float) else str(value)
