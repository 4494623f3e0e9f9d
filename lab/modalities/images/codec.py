"""Pictures in and out: any file or bytes that a user gives becomes a square of pixels in [0, 1], or one clear sentence."""

from __future__ import annotations

import base64
import binascii
import io
import math
import os
import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from PIL import Image, ImageOps, UnidentifiedImageError, features

from lab.lazy import Float, Tensor, functional, np, torch

from lab.errors import LabError
from lab.federated.tensors import Images
from lab.files.global_state import GLOBAL_STATE_LOCK
from lab.files.regular import open_regular
from lab.modalities.images.foreign_formats import foreign
from lab.modalities.images.tones import MIN_SPAN, Tones, tones_between, tones_of

Picture = Float[Tensor, "channel side side"]
Squares = Float[Tensor, "batch channel side side"]

MAX_BYTES = 20 * 2**20
MAX_PIXELS = 50_000_000
_AVIF = ("AVIF",) if features.check("avif") else ()
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", *_AVIF)
"""Formats that are opened; others (EPS among them, which starts a program) never are."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", *([".avif"] if _AVIF else []))
"""Endings by which a folder's pictures are found; a single picture may have any."""

_GREY_MODES = ("1", "L", "LA", "La")
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_BY_EXTREMA = {"I": "i4", "F": "f4", "I;16": "u2"}
"""Deep modes of which Pillow tells the extrema without a copy of the picture, and the numbers they hold."""
_LUMA = (0.299, 0.587, 0.114)
"""How much red, green and blue count in a grey value (ITU-R BT.601), as Pillow and torchvision have it."""
_ORIENTATION = 0x0112
"""EXIF's number for which side is up."""
_ADVICE = "give a picture such as a PNG or JPEG"
_SMALLER = "give a smaller picture"


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture as it was understood."""

    pixels: Picture
    """In [0, 1]; one channel where the file is grey, else three."""
    tones: Tones | None
    """What was drawn black and white, where that is not simply the file's range."""


def read_picture(path: Path, size: int) -> Decoded:
    """The picture in a file: upright, its central square, scaled to ``size`` x ``size`` pixels, in [0, 1].

    Raises ``LabError`` for a file that is missing, a folder, empty, truncated, too large or no picture.
    """
    return decode_picture(read_bytes(path), size, str(path))


def read_bytes(path: Path) -> bytes:
    """The content of a file of at most 20 MiB. Raises ``LabError``."""
    try:
        with open_regular(path, "a picture; give the path of one picture file") as file:
            return _bounded(file, str(path))
    except FileNotFoundError:
        raise LabError(f"There is no picture file {path}; check the path.") from None
    except OSError as error:
        raise LabError(f"The picture file {path} cannot be read ({error.strerror}); check its permissions.") from None


def _bounded(file: BinaryIO, what: str) -> bytes:
    """All that a file holds; no more than one byte too much is read."""
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise _too_heavy(what, max(len(data), os.fstat(file.fileno()).st_size))
    return data


def decode_picture(data: bytes, size: int, what: str = "the upload") -> Decoded:
    """As ``read_picture``, from the content of a file; ``what`` names it in errors."""
    if not data:
        raise LabError(f"{what} is empty (0 bytes); {_ADVICE}.")
    if len(data) > MAX_BYTES:
        raise _too_heavy(what, len(data))
    image, tones = _decoded(data, size, what)
    return Decoded(to_tensor(image.resize((size, size), Image.Resampling.LANCZOS)), tones)


def stacked(pictures: Sequence[Tensor]) -> Squares:
    """Pictures of shape (1 or 3, side, side) as one batch: grey where all are grey, else all in colour."""
    channels = max(len(picture) for picture in pictures)
    return torch.stack([in_channels(picture, channels) for picture in pictures])


def in_channels(images: Tensor, channels: int) -> Tensor:
    """Pictures (..., channel, height, width) in as many channels: grey repeated, colours weighed as brightness."""
    if images.shape[-3] == channels:
        return images
    luma = torch.tensor(_LUMA, dtype=images.dtype, device=images.device).view(3, 1, 1)
    grey = images if images.shape[-3] != 3 else (images * luma).sum(-3, keepdim=True)
    return grey.mean(-3, keepdim=True).repeat_interleave(channels, -3)


def encode_png(image: Tensor) -> bytes:
    """A picture of shape (channels, height, width), pixels in [0, 1], as a PNG of 8 bits a channel; two or four turn grey."""
    seen = image if len(image) in (1, 3) else in_channels(image, 1)
    pixels = (seen.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG", optimize=True)
    return file.getvalue()


def to_text(data: bytes) -> str:
    """Bytes as base64 text, the form in which a picture travels inside an experiment."""
    return base64.b64encode(data).decode("ascii")


def from_text(text: str, what: str) -> bytes:
    """The bytes behind base64 text. Raises ``LabError`` where it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise LabError(f"{what} is not base64 text; give the base64 form of a file.") from None


def resized(images: Images, size: int) -> Squares:
    """Pictures brought to ``size`` x ``size`` pixels: bicubic, antialiased when shrinking, clipped to [0, 1].

    Enlarging is smooth and adds no detail: a 32-pixel picture at 224 pixels stays as blurred as it was.
    """
    if images.shape[-2:] == (size, size):
        return images
    return functional.interpolate(images, (size, size), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def to_tensor(image: Image.Image) -> Tensor:
    """A Pillow picture in mode L or RGB as a tensor of shape (1 or 3, height, width) in [0, 1]."""
    pixels = np.array(image)
    return torch.as_tensor(pixels).reshape(image.height, image.width, -1).permute(2, 0, 1).float() / 255


def _decoded(data: bytes, size: int, what: str) -> tuple[Image.Image, Tones | None]:
    """The central square, upright, in L or RGB, up to 4 times too wide. The declared size is checked before decoding."""
    try:
        with GLOBAL_STATE_LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of bombs and odd metadata; the limit below decides
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(what, f"{image.width} x {image.height} pixels")
            if _deep_colours(image):
                _check_colours(image, what)
            image.draft(image.mode, (2 * size, 2 * size))  # lets a JPEG be decoded at a fraction of its size
            tones = _tones(image)
            upright = ImageOps.exif_transpose(_small_square(image, 4 * size))
            return _plain(upright, tones and tones[0]), tones[0] if tones and tones[1] else None
    except Image.DecompressionBombError:
        raise _too_large(what, "hundreds of millions of pixels") from None
    except UnidentifiedImageError:
        raise foreign(data, what) or LabError(f"{what} is not a picture that can be read; {_ADVICE}.") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error):
        raise LabError(f"{what} is damaged or cut short; save or download the picture again.") from None


def _deep_colours(image: Image.Image) -> bool:
    """Whether the file holds 16 bits a channel of which Pillow reads the upper 8 alone."""
    return image.mode not in _DEEP_MODES and any(";16" in str(tile) for tile in getattr(image, "tile", ()))


def _check_colours(image: Image.Image, what: str) -> None:
    """Colours that fill their 16 bits lose nothing to the eye; those that use the lower bits only would turn out black."""
    lowest, highest = zip(*_extrema(image.convert("RGB")), strict=True)
    if 0 < max(highest) - min(lowest) <= 255 * MIN_SPAN or max(highest) == 0:
        raise LabError(
            f"{what} has colours of 16 bits that fill less than a quarter of that range, of which nothing would be seen; "
            "save it with 8 bits a channel, scaled to the full range."
        )


def _tones(image: Image.Image) -> tuple[Tones, bool] | None:
    """Of one deep channel what is drawn black and white, from all numbers of the file; None for 8 bits, shown as they are."""
    if image.mode not in _DEEP_MODES:
        return None
    kind = _BY_EXTREMA.get(image.mode)
    if kind is not None:
        ((low, high),) = _extrema(image)
        if math.isfinite(low) and math.isfinite(high):
            return tones_between(float(low), float(high), np.dtype(kind))
    return tones_of(np.asarray(image))


def _extrema(image: Image.Image) -> Sequence[tuple[float, float]]:
    """The least and the greatest number of each channel; Pillow gives those of a single channel bare."""
    found = image.getextrema()
    return [cast("tuple[float, float]", found)] if len(image.getbands()) == 1 else cast("Sequence[tuple[float, float]]", found)


def _small_square(image: Image.Image, side: int) -> Image.Image:
    """The central square, by area means at most ``side`` pixels wide: what follows then copies little memory."""
    orientation = image.getexif().get(_ORIENTATION, 1)
    if image.mode in ("1", "P", "PA"):  # a mean of palette numbers means nothing
        plain = "L" if image.mode == "1" else "RGB"
        image = image.convert("RGBA" if image.has_transparency_data else plain)
    short = min(image.size)
    side = min(side, short)
    left, top = (image.width - short) / 2, (image.height - short) / 2
    square = image.resize((side, side), Image.Resampling.BOX, (left, top, left + short, top + short))
    square.getexif()[_ORIENTATION] = orientation
    return square


def _plain(image: Image.Image, tones: Tones | None) -> Image.Image:
    """Any mode as L or RGB: deep channels are scaled rather than clipped, transparency is laid on white."""
    if tones is not None:
        return Image.fromarray((tones.applied(np.asarray(image)) * 255).round().astype(np.uint8))
    mode = "L" if image.mode in _GREY_MODES else "RGB"
    if not image.has_transparency_data:
        return image.convert(mode)
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert(mode)


def _too_heavy(what: str, size: int) -> LabError:
    return LabError(f"{what} has {size / 2**20:.0f} MiB, more than the {MAX_BYTES // 2**20} MiB allowed; {_SMALLER}.")


def _too_large(what: str, how_large: str) -> LabError:
    return LabError(f"{what} has {how_large}, more than the {MAX_PIXELS // 10**6} million allowed; {_SMALLER}.")


def central_square(images: Images) -> Squares:
    """The middle of each picture: its largest square."""
    height, width = images.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[..., top : top + side, left : left + side]
