"""Every kind of picture a user may give, and every file that is none."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lab.errors import LabError
from lab.modalities.images import codec
from lab.modalities.images.codec import (
    central_square,
    decode_picture,
    encode_png,
    from_text,
    in_channels,
    read_picture,
    resized,
    to_text,
)


def as_bytes(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def plain(colour, size=(8, 8), mode="RGB"):
    return Image.new(mode, size, colour)


def declared_png(width, height):
    """A PNG that claims a size and holds almost no data."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def pixels(data, size):
    return decode_picture(data, size).pixels


def sentence(data, what="it.png"):
    with pytest.raises(LabError) as caught:
        decode_picture(data, 32, what)
    text = str(caught.value)
    assert text.startswith(what)
    assert text.endswith(".")
    return text


# What is accepted


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_common_formats_keep_their_colour(format):
    data = as_bytes(plain((200, 100, 50)), format)
    got = pixels(data, 4)
    assert got.shape == (3, 4, 4)
    assert got.dtype == torch.float32
    assert torch.allclose(got, torch.tensor([200.0, 100, 50]).view(3, 1, 1).expand(3, 4, 4) / 255, atol=0.04)


def test_alpha_is_laid_on_white():
    half = pixels(as_bytes(plain((0, 0, 0, 51), mode="RGBA")), 2)
    assert torch.allclose(half, torch.full((3, 2, 2), 204 / 255), atol=1e-6)


def test_palette_with_transparency_is_laid_on_white():
    image = plain(0, mode="P")
    image.putpalette([255, 0, 0])
    data = as_bytes(image, transparency=0)
    assert torch.equal(pixels(data, 2), torch.ones(3, 2, 2))
    assert torch.equal(pixels(as_bytes(image), 2)[:, 0, 0], torch.tensor([1.0, 0, 0]))


def test_grey_with_alpha_is_laid_on_white():
    assert torch.equal(pixels(as_bytes(plain((0, 0), mode="LA")), 2), torch.ones(1, 2, 2))


def test_sixteen_bits_are_scaled_and_not_clipped():
    values = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(8, 8)
    got = pixels(as_bytes(Image.fromarray(values)), 8)
    assert got.shape == (1, 8, 8)
    assert torch.allclose(got[0], torch.from_numpy(values / 65535).float(), atol=1 / 255)


def test_a_dark_sixteen_bit_picture_stays_dark():
    values = np.full((8, 8), 255, np.uint16)
    assert pixels(as_bytes(Image.fromarray(values)), 8).max() < 0.01


@pytest.mark.parametrize("full", [1, 255, 65535])
def test_floating_point_tiff(full):
    values = np.full((8, 8), 0.5 * full, np.float32)
    values[0] = full
    values[1] = np.nan
    got = pixels(as_bytes(Image.fromarray(values), "TIFF"), 8)
    assert torch.allclose(got[:, 6:], torch.tensor(0.5), atol=0.003)
    assert got.max() == 1


def test_big_endian_and_wide_whole_numbers():
    for mode, kind in (("I;16B", ">u2"), ("I", "<i4")):
        image = Image.frombytes(mode, (8, 8), np.full((8, 8), 13107, kind).tobytes())
        assert torch.allclose(pixels(as_bytes(image, "TIFF"), 8), torch.tensor(0.2), atol=0.003)


def test_grey_stays_grey():
    got = pixels(as_bytes(plain(51, mode="L")), 2)
    assert torch.allclose(got, torch.full((1, 2, 2), 0.2))
    assert in_channels(got, 3).shape == (3, 2, 2)


def test_bilevel_picture():
    assert torch.equal(pixels(as_bytes(plain(1, mode="1")), 2), torch.ones(1, 2, 2))


def test_cmyk_jpeg():
    got = pixels(as_bytes(plain((0, 0, 0, 0), mode="CMYK"), "JPEG"), 2)
    assert got.min() > 0.98


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (2, (0, 1)), (3, (1, 1)), (6, (0, 1)), (8, (1, 0))])
def test_exif_rotation_is_applied(orientation, corner):
    image = plain((0, 0, 0), (16, 16))
    image.paste((255, 255, 255), (0, 0, 8, 8))  # the bright quarter is stored at the top left
    exif = Image.Exif()
    exif[0x0112] = orientation
    quarters = pixels(as_bytes(image, exif=exif), 2).mean(0)
    assert divmod(int(quarters.argmax()), 2) == corner


def test_the_central_square_is_taken():
    image = plain((255, 0, 0), (30, 10))
    image.paste((0, 255, 0), (10, 0, 20, 10))
    got = pixels(as_bytes(image), 10)
    assert torch.equal(got.mean((1, 2)), torch.tensor([0.0, 1.0, 0.0]))


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1), (33, 31)])
def test_absurd_shapes_are_fine(size):
    got = pixels(as_bytes(plain((10, 20, 30), size)), 32)
    assert torch.allclose(got[:, 0, 0], torch.tensor([10.0, 20, 30]) / 255)
    assert got.shape == (3, 32, 32)


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((256, 256), np.uint8)
    stripes[:, ::2] = 255
    got = pixels(as_bytes(Image.fromarray(stripes)), 32)
    assert torch.allclose(got, torch.tensor(0.5), atol=0.03)


def test_a_large_jpeg_is_decoded_well():
    ramp = np.tile(np.linspace(0, 255, 2000).astype(np.uint8), (2000, 1))
    got = pixels(as_bytes(Image.fromarray(ramp), "JPEG", quality=95), 32)
    assert torch.allclose(got[0, 0], (torch.arange(32) + 0.5) / 32, atol=0.02)


def test_png_keeps_every_value():
    image = torch.arange(3 * 8 * 8).view(3, 8, 8).float() / 255
    assert torch.equal(pixels(encode_png(image), 8), image)
    assert torch.equal(pixels(encode_png(image[:1]), 8), image[:1])


def test_base64_round_trip():
    assert from_text(to_text(b"\x00\xff"), "it") == b"\x00\xff"


# What is refused, each with its sentence


def test_missing_file(tmp_path):
    with pytest.raises(LabError, match=r"^There is no picture file .*gone\.png; check the path\.$"):
        read_picture(tmp_path / "gone.png", 32)


def test_folder(tmp_path):
    with pytest.raises(LabError, match=r"is a folder, not a picture; give the path of one picture file\.$"):
        read_picture(tmp_path, 32)


def test_empty_file(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(LabError, match=r"empty\.png is empty \(0 bytes\); give a picture such as a PNG or JPEG\.$"):
        read_picture(tmp_path / "empty.png", 32)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_truncated_file(format):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    data = as_bytes(noise, format)
    assert "is damaged or cut short; save or download the picture again." in sentence(data[: len(data) // 2])


@pytest.mark.parametrize("data", [b"hello", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_not_a_picture(data):
    assert "is not a picture that can be read; give a picture such as a PNG or JPEG." in sentence(data)


def test_damaged_pixels():
    data = bytearray(as_bytes(plain((1, 2, 3))))
    place = data.index(b"IDAT")
    data[place + 6 : place + 12] = b"\xff" * 6
    assert "damaged" in sentence(bytes(data))


def test_a_huge_picture_is_refused_before_it_takes_memory():
    tracemalloc.start()
    text = sentence(declared_png(30_000, 30_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "has hundreds of millions of pixels, more than the 50 million allowed; give a smaller picture." in text
    assert peak < 2**20


def test_a_picture_somewhat_too_large_is_refused_with_its_size():
    assert "has 9000 x 8000 pixels, more than the 50 million allowed" in sentence(declared_png(9000, 8000))


def test_a_heavy_file_is_refused_unread(tmp_path):
    heavy = tmp_path / "heavy.png"
    with heavy.open("wb") as file:
        file.truncate(21 * 2**20)
    with pytest.raises(LabError, match=r"heavy\.png has 21 MiB, more than the 20 MiB allowed; give a smaller picture\.$"):
        read_picture(heavy, 32)
    assert "more than the 20 MiB allowed" in sentence(b"x" * (codec.MAX_BYTES + 2**20))


def test_unreadable_file(tmp_path, monkeypatch):
    (tmp_path / "secret.png").write_bytes(b"x")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lab.files.regular.os.open", refuse)
    with pytest.raises(LabError, match=r"cannot be read \(Permission denied\); check its permissions\.$"):
        read_picture(tmp_path / "secret.png", 32)


def test_text_that_is_not_base64():
    with pytest.raises(LabError, match=r"^picture 1 is not base64 text; give the base64 form of a file\.$"):
        from_text("not base64!", "picture 1")


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 24, 3), np.uint8))
WHOLE = [as_bytes(NOISE, format) for format in ("PNG", "JPEG", "GIF", "BMP", "WEBP")] + [as_bytes(NOISE.convert("P"))]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), min_size=1, max_size=6))
def test_whatever_is_damaged_gives_a_picture_or_a_sentence(data, changes):
    damaged = bytearray(data)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    got = picture_or_sentence(bytes(damaged))
    if isinstance(got, str):
        assert got.startswith("the upload ")
    else:
        assert got.shape == (3, 16, 16)
        assert got.isfinite().all()


def picture_or_sentence(data):
    try:
        return pixels(data, 16)
    except LabError as error:
        return str(error)


# Tensors


def test_resizing_is_smooth_stays_in_range_and_leaves_the_right_size_alone():
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).round()
    assert resized(images, 32) is images
    large = resized(images, 64)
    assert large.shape == (2, 3, 64, 64)
    assert large.min() >= 0
    assert large.max() <= 1
    assert torch.allclose(resized(torch.full((1, 1, 28, 28), 0.3), 32), torch.full((1, 1, 32, 32), 0.3))


def test_central_square_of_tensors():
    images = torch.arange(12.0).view(1, 1, 2, 6)
    assert torch.equal(central_square(images), images[..., 2:4])
    assert torch.equal(central_square(images.transpose(2, 3)), images[..., 2:4].transpose(2, 3))
