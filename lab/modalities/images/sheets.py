"""Pictures laid out for people: a batch as one sheet, a labelled comparison, a replay, a film."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from lab.lazy import Tensor, functional, torch

from lab.federated.tensors import Images
from lab.modalities.images.codec import encode_png

SHOWN_SIDE = 256
"""Sheets smaller than this many pixels are enlarged by a whole factor, each pixel a square."""
GAP = 2
CAPTION, MARGIN = 28, 8
SMALL_SIDE, SMALL_COUNT = 112, 4
"""On a study's contact sheet pictures are halved until they are no wider than that, and a batch shows so many."""
REPLAY_MS, LAST_FRAME_MS = 6000, 1500


def tiled(images: Images) -> Tensor:
    """A batch as one picture, shape (channels, height, width): itself for one, else a near-square grid on white."""
    if len(images) == 1:
        return images[0]
    columns = math.ceil(math.sqrt(len(images)))
    missing = -len(images) % columns
    framed = functional.pad(
        torch.cat([images, torch.ones(missing, *images.shape[1:], dtype=torch.float32)]), (0, GAP, 0, GAP), value=1.0
    )
    rows = [torch.cat(list(row), 2) for row in torch.split(framed, columns)]
    return torch.cat(rows, 1)[:, :-GAP, :-GAP]


def enlarged(image: Tensor) -> Image.Image:
    """A picture of shape (channels, height, width) in RGB, each pixel drawn as a square."""
    factor = max(1, SHOWN_SIDE // max(image.shape[-2:]))
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8)
    coloured = pixels.expand(3, -1, -1) if len(pixels) == 1 else pixels[:3]
    drawn = Image.fromarray(coloured.permute(1, 2, 0).contiguous().numpy())
    return drawn.resize((drawn.width * factor, drawn.height * factor), Image.Resampling.NEAREST)


def comparison(original: Images, rebuilt: Images) -> bytes:
    """Original, reconstruction and their absolute difference side by side, named, as a PNG."""
    panels = {"original": original, "reconstruction": rebuilt, "difference": (original - rebuilt).abs()}
    return _saved(_side_by_side(panels), "PNG")


def _side_by_side(panels: Mapping[str, Images]) -> Image.Image:
    """Batches of one shape on white, each below its name."""
    drawn = {name: enlarged(tiled(images)) for name, images in panels.items()}
    width, height = next(iter(drawn.values())).size
    sheet = Image.new("RGB", (len(drawn) * (width + MARGIN) + MARGIN, height + CAPTION + MARGIN), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for index, (name, panel) in enumerate(drawn.items()):
        left = MARGIN + index * (width + MARGIN)
        pen.text((left + width / 2, CAPTION / 2), name, fill="black", font=font, anchor="mm")
        sheet.paste(panel, (left, CAPTION))
    return sheet


def one_above_the_other(original: Images, rebuilt: Images) -> bytes:
    """Original pictures in a row, their reconstructions below them, as a PNG."""
    strips = [torch.cat(list(_small(images[:SMALL_COUNT].detach().cpu())), 2) for images in (original, rebuilt)]
    return encode_png(torch.cat(strips, 1))


def _small(images: Images) -> Images:
    while max(images.shape[-2:]) > SMALL_SIDE:
        images = functional.avg_pool2d(images, 2)
    return images


def replay(frames: Sequence[Images]) -> bytes:
    """The frames as an endless GIF of some six seconds that rests on the last one."""
    return _endless([_in_few_colours(enlarged(tiled(frame))) for frame in frames], "GIF")


def film(original: Images, frames: Sequence[Images]) -> bytes:
    """The original beside the frames, as a WebP that runs as ``replay`` does and keeps every pixel, in a fraction of a GIF."""
    return _endless([_side_by_side({"original": original, "reconstruction": frame}) for frame in frames], "WEBP", lossless=True)


def _in_few_colours(image: Image.Image) -> Image.Image:
    """At most 256 of its own, told by an octree: the median cut that Pillow would choose takes a hundred times as long."""
    return image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def _endless(drawn: Sequence[Image.Image], form: str, **settings: object) -> bytes:
    pace = min(500, max(20, REPLAY_MS // len(drawn)))
    durations = [*[pace] * (len(drawn) - 1), LAST_FRAME_MS]
    return _saved(drawn[0], form, save_all=True, append_images=drawn[1:], duration=durations, loop=0, **settings)


def _saved(image: Image.Image, form: str, **settings: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **settings)
    return file.getvalue()
