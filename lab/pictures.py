"""Pictures in and out: any file or bytes that a user gives becomes a square of pixels in [0, 1], or one clear sentence."""

from __future__ import annotations

import base64
import binascii
import io
import struct
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn.functional import interpolate

from lab.errors import LabError
from lab.one_at_a_time import ONE_AT_A_TIME
from lab.types import Images

Picture = Float[Tensor, "3 side side"]
Squares = Float[Tensor, "batch channel side side"]

MOST_BYTES = 20 * 2**20
MOST_PIXELS = 50_000_000
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
"""Endings by which a folder's pictures are found; a single picture may have any."""

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""Formats that are opened; others (EPS among them, which starts a program) never are."""

_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_ORIENTATION = 0x0112
"""EXIF's number for which side is up."""
_ADVICE = "give a picture such as a PNG or JPEG"
_SMALLER = "give a smaller picture"


def read_picture(path: Path, size: int) -> Picture:
    """The picture in a file: upright, its central square, scaled to ``size`` x ``size`` pixels, in [0, 1].

    Raises ``LabError`` for a file that is missing, a folder, empty, truncated, too large or no picture.
    """
    return decode_picture(read_bytes(path), size, str(path))


def read_bytes(path: Path) -> bytes:
    """The content of a file of at most 20 MiB. Raises ``LabError``."""
    if path.is_dir():
        raise LabError(f"{path} is a folder, not a picture; give the path of one picture file.")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _too_heavy(str(path), path.stat().st_size)
        return path.read_bytes()
    except FileNotFoundError:
        raise LabError(f"There is no picture file {path}; check the path.") from None
    except OSError as error:
        raise LabError(f"The picture file {path} cannot be read ({error.strerror}); check its permissions.") from None


def decode_picture(data: bytes, size: int, what: str = "the upload") -> Picture:
    """As ``read_picture``, from the content of a file; ``what`` names it in errors."""
    if not data:
        raise LabError(f"{what} is empty (0 bytes); {_ADVICE}.")
    if len(data) > MOST_BYTES:
        raise _too_heavy(what, len(data))
    return to_tensor(_decoded(data, size, what).resize((size, size), Image.Resampling.LANCZOS))


def encode_png(image: Tensor) -> bytes:
    """A picture of shape (1 or 3, height, width), pixels in [0, 1], as a PNG of 8 bits a channel."""
    pixels = (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
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
        raise LabError(f"{what} is not base64 text; give the base64 form of a PNG file.") from None


def resized(images: Images, size: int) -> Squares:
    """Pictures brought to ``size`` x ``size`` pixels: bicubic, antialiased when shrinking, clipped to [0, 1].

    Enlarging is smooth and adds no detail: a 32-pixel picture at 224 pixels stays as blurred as it was.
    """
    if images.shape[-2:] == (size, size):
        return images
    return interpolate(images, (size, size), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def to_tensor(image: Image.Image) -> Tensor:
    """A Pillow picture in mode L or RGB as a tensor of shape (1 or 3, height, width) in [0, 1]."""
    pixels = np.array(image)
    return torch.from_numpy(pixels).reshape(image.height, image.width, -1).permute(2, 0, 1).float() / 255


def _decoded(data: bytes, size: int, what: str) -> Image.Image:
    """The central square, upright and in RGB, up to 4 times too wide. The declared size is checked before decoding."""
    try:
        with ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of bombs and odd metadata; the limit below decides
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            if image.width * image.height > MOST_PIXELS:
                raise _too_large(what, f"{image.width} x {image.height} pixels")
            image.draft(image.mode, (2 * size, 2 * size))  # lets a JPEG be decoded at a fraction of its size
            return _rgb(ImageOps.exif_transpose(_small_square(image, 4 * size)))
    except Image.DecompressionBombError:
        raise _too_large(what, "hundreds of millions of pixels") from None
    except UnidentifiedImageError:
        raise LabError(f"{what} is not a picture that can be read; {_ADVICE}.") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error):
        raise LabError(f"{what} is damaged or cut short; save or download the picture again.") from None


def _small_square(image: Image.Image, side: int) -> Image.Image:
    """The central square, by area means at most ``side`` pixels wide: what follows then copies little memory."""
    orientation = image.getexif().get(_ORIENTATION, 1)
    if image.mode in ("1", "P", "PA"):  # a mean of palette numbers means nothing
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    short = min(image.size)
    side = min(side, short)
    left, top = (image.width - short) / 2, (image.height - short) / 2
    square = image.resize((side, side), Image.Resampling.BOX, (left, top, left + short, top + short))
    square.getexif()[_ORIENTATION] = orientation
    return square


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: 16 bits are scaled rather than clipped, transparency is laid on white."""
    if image.mode in _DEEP_MODES:
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """One deep channel as uint8: 16 bits by their full range, wider numbers by the smallest usual range that holds them."""
    usual = {"u": (65535.0,), "i": (255.0, 65535.0), "f": (1.0, 255.0, 65535.0)}[values.dtype.kind]
    finite = np.where(np.isfinite(values), values, 0.0)
    full = next((limit for limit in usual if finite.max() <= limit), finite.max())
    return (finite.clip(0, full) / full * 255).round().astype(np.uint8)


def _too_heavy(what: str, size: int) -> LabError:
    return LabError(f"{what} has {size / 2**20:.0f} MiB, more than the {MOST_BYTES // 2**20} MiB allowed; {_SMALLER}.")


def _too_large(what: str, how_large: str) -> LabError:
    return LabError(f"{what} has {how_large}, more than the {MOST_PIXELS // 10**6} million allowed; {_SMALLER}.")


def central_square(images: Images) -> Squares:
    """The middle of each picture: its largest square."""
    height, width = images.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[..., top : top + side, left : left + side]
