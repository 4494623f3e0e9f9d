"""Pictures as people have them: deep, signed, grey, transparent, animated, hidden, or of a kind that is not read."""

import io
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features
from typer.testing import CliRunner

from lab.cli import app
from lab.client.datasets.folder import Folder
from lab.client.datasets.inline import Inline
from lab.errors import LabError
from lab.experiments.experiment import Experiment
from lab.experiments.rounds import simulate_round
from lab.federated.networks.mlp import MLP
from lab.modalities.images.codec import SUFFIXES, decode_picture
from lab.modalities.images.tones import Tones

SIDE = 32
RANGES = {
    "u2": [(0, 65535), (0, 4095), (16, 2992), (0, 1023), (0, 16383), (1000, 1500), (40_000, 41_000), (0, 255)],
    "i4": [(0, 255), (0, 65535), (-1024, 3071), (-32768, 32767), (-5, 5), (0, 10**6), (0, 4095)],
    "f4": [(0, 1), (0, 255), (-1, 1), (-1000, 2000), (-2.4, 2.8), (0, 0.04), (0, 4095), (0, 65535), (1e-9, 2e-9)],
}
KINDS = [(kind, low, high) for kind, ranges in RANGES.items() for low, high in ranges]


def as_bytes(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def drawn(kind, low, high, seed=0):
    """Numbers of a kind that reach both ends, and the same as shares from 0 to 1."""
    shares = np.random.default_rng(seed).random((SIDE, SIDE))
    shares.flat[0], shares.flat[1] = 0, 1
    values = low + (high - low) * shares
    return (values.round() if kind != "f4" else values).astype(kind)


def spread(values):
    """Lowest to highest as 0 to 1: the truth computed apart."""
    wide = values.astype(np.float64)
    return torch.from_numpy((wide - wide.min()) / (wide.max() - wide.min())).float()


@pytest.mark.parametrize(("kind", "low", "high"), KINDS)
@pytest.mark.parametrize("form", ["TIFF", "PNG"])
def test_deep_pictures_are_drawn_by_what_is_there(kind, low, high, form):
    if form == "PNG" and kind != "u2":
        return  # PNG knows no others
    values = drawn(kind, low, high)
    picture = decode_picture(as_bytes(Image.fromarray(values), form), SIDE, "it")
    assert picture.pixels.shape == (1, SIDE, SIDE)
    tones = picture.tones or Tones(0, {"u2": 65535, "i4": 255, "f4": 1}[kind])
    assert tones.black <= low
    assert tones.white >= high * (1 - 1e-6)
    assert torch.allclose(picture.pixels[0], torch.from_numpy(tones.applied(values)), atol=1 / 255)
    assert picture.pixels.max() - picture.pixels.min() > 0.24  # never nearly black, nor any other flat grey
    if picture.pixels.max() > 0.99 and picture.pixels.min() < 0.01:
        assert torch.allclose(picture.pixels[0], spread(values), atol=1 / 255)
    usual = (kind, low, high) in {("u2", 0, 65535), ("f4", 0, 1)}
    assert (picture.tones is None) == usual


@pytest.mark.parametrize("path", ["--image", "--dataset"])
@pytest.mark.parametrize(("kind", "low", "high"), [("u2", 16, 2992), ("f4", -1000, 2000), ("i4", -1024, 3071)])
def test_what_was_made_of_a_deep_picture_is_said(tmp_path, kind, low, high, path):
    (tmp_path / "in").mkdir()
    Image.fromarray(drawn(kind, low, high)).save(tmp_path / "in" / "deep.tif")
    source = tmp_path / "in" / "deep.tif" if path == "--image" else f"folder:path={tmp_path / 'in'}"
    words = ["run", path, str(source), "--network", "mlp:depth=2,width=8", "--iterations", "2", "--out", str(tmp_path / "out")]
    told = CliRunner().invoke(app, words).stdout
    sentence = f"were drawn so that {low} is black and {high} is white."
    assert sentence in told
    assert sentence in (tmp_path / "out" / "result.json").read_text()
    again = CliRunner().invoke(app, ["run", "--experiment", str(tmp_path / "out" / "result.json")]).stdout
    assert sentence in again
    shown = np.array(Image.open(tmp_path / "out" / "original.png"))
    assert shown.min() < 10
    assert shown.max() > 245


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(0, 99))
def test_whatever_the_range_of_floats_light_stays_lighter(low, width, seed):
    values = drawn("f4", low, low + width, seed)
    picture = decode_picture(as_bytes(Image.fromarray(values), "TIFF"), SIDE)
    order = torch.from_numpy(values.astype(np.float64)).flatten().argsort()
    assert (picture.pixels.flatten()[order].diff() >= -1e-6).all()
    assert picture.pixels.max() - picture.pixels.min() > 0.24 or np.unique(values).size == 1


def test_numbers_that_are_none_are_black_and_do_not_count():
    values = drawn("f4", -1000, 2000)
    values[0, :4] = np.nan, np.inf, -np.inf, np.nan
    picture = decode_picture(as_bytes(Image.fromarray(values), "TIFF"), SIDE)
    finite = values[np.isfinite(values)]
    assert picture.tones == Tones(float(finite.min()), float(finite.max()))
    assert picture.pixels.isfinite().all()


@pytest.mark.parametrize("level", [0, 1, 40, 255])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_eight_bits_are_shown_as_everywhere_however_dark(mode, level):
    values = np.random.default_rng(0).integers(0, level + 1, (SIDE, SIDE) if mode == "L" else (SIDE, SIDE, 3), np.uint8)
    picture = decode_picture(as_bytes(Image.fromarray(values), "PNG"), SIDE)
    truth = torch.from_numpy(values.reshape(SIDE, SIDE, -1)).permute(2, 0, 1) / 255
    assert torch.equal(picture.pixels, truth)
    assert picture.tones is None


def deep_png(values, colour_type):
    """A PNG with 16 bits a channel, which Pillow cannot write; filters are all 0."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("colour_type", "channels", "alpha"), [(2, 3, 0), (4, 1, 1), (6, 3, 1)])
def test_colours_of_sixteen_bits_are_seen_or_refused(colour_type, channels, alpha):
    shares = np.random.default_rng(0).random((SIDE, SIDE, channels))
    opaque = np.full((SIDE, SIDE, alpha), 65535)
    for full, readable in ((65535, True), (40_000, True), (4095, False), (1023, False), (255, False)):
        data = deep_png(np.concatenate([(shares * full).round(), opaque], 2).astype(np.uint16), colour_type)
        if readable:
            picture = decode_picture(data, SIDE)
            assert torch.allclose(
                picture.pixels, torch.from_numpy(shares * full / 65535).permute(2, 0, 1).float(), atol=1 / 128
            )
        else:
            with pytest.raises(LabError, match=r"^it has colours of 16 bits that fill less than a quarter of that range"):
                decode_picture(data, SIDE, "it")


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_a_film_is_taken(form):
    frames = [Image.new("RGB", (SIDE, SIDE), colour) for colour in ("red", "lime", "blue")]
    data = as_bytes(frames[0], form, save_all=True, append_images=frames[1:], lossless=True)
    assert torch.allclose(decode_picture(data, SIDE).pixels.mean((1, 2)), torch.tensor([1.0, 0, 0]), atol=0.02)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_gives_a_grey_or_a_coloured_picture_in_range(mode):
    values = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    image = (
        Image.fromarray(values[..., 0].astype({"I;16": "u2", "I": "i4", "F": "f4"}[mode]))
        if mode in ("I;16", "I", "F")
        else (Image.fromarray(values).convert(mode))
    )
    pixels = decode_picture(as_bytes(image, "TIFF" if mode not in ("P", "RGBA", "LA") else "PNG"), SIDE).pixels
    assert len(pixels) == (1 if mode in ("1", "L", "LA", "I;16", "I", "F") else 3)
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    assert pixels.std() > 0.05


@pytest.mark.parametrize("kinds", [*itertools.product(["L", "RGB"], repeat=2)])
def test_a_batch_is_grey_where_all_of_it_is(tmp_path, kinds):
    for number, mode in enumerate(kinds):
        Image.new(mode, (SIDE, SIDE), 51 if mode == "L" else (255, 0, 0)).save(tmp_path / f"{number}.png")
    own = Inline.from_paths(sorted(tmp_path.glob("*.png")), [0, 1], SIDE)
    for dataset in (own, Folder(str(tmp_path))):
        a_round = simulate_round(Experiment(dataset=dataset, network=MLP(depth=2, width=8), batch_size=2))
        assert a_round.batch.image_shape[0] == (3 if "RGB" in kinds else 1)
        assert a_round.line_up.shape[1] == a_round.batch.image_shape[0]


# Folders


HIDDEN = [
    "._1.jpg",
    ".hidden.png",
    ".ipynb_checkpoints/a.png",
    "__MACOSX/a.png",
    "__MACOSX/._a.png",
    ".Trash-0/a.png",
    "@eaDir/a.png",
]


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("flat", [True, False])
def test_what_is_hidden_is_neither_picture_nor_class(tmp_path, hidden, flat):
    inside = tmp_path / ".dotted home" / "mine"  # the folder itself may lie in a hidden one
    places = ["a.png", "b.png"] if flat else ["cot/a.png", "dot/b.png"]
    for place in places:
        (inside / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (SIDE, SIDE), "red").save(inside / place)
    plain = Folder(str(inside))
    before = plain.load(2, SIDE, torch.Generator())
    names = plain.class_names
    for place in [hidden] if "/" in hidden or flat else [hidden, f"cot/{hidden}"]:
        (inside / place).parent.mkdir(parents=True, exist_ok=True)
        (inside / place).write_bytes(b"\0\5\26\7 a fork of resources")
    after = plain.load(2, SIDE, torch.Generator())
    assert torch.equal(before.images, after.images)
    assert torch.equal(before.labels, after.labels)
    assert plain.class_names == names
    with pytest.raises(LabError, match="holds 2 pictures"):
        plain.load(3, SIDE, torch.Generator())


@pytest.mark.parametrize("suffix", [".heic", ".svg", ".dcm", ".HEIC"])
def test_a_folder_of_what_is_not_read_is_not_called_empty(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"x")
    with pytest.raises(LabError) as caught:
        Folder(str(tmp_path)).load(1, SIDE, torch.Generator())
    assert f"holds pictures that are not read here ({suffix.lower()}); save them as PNG or JPEG." in str(caught.value)


# Kinds that are not read


FOREIGN = {
    "a HEIC picture": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "an SVG drawing": b'<?xml version="1.0"?>\n<!-- made by hand -->\n<SVG xmlns="http://www.w3.org/2000/svg"></SVG>',
    "a PDF document": b"%PDF-1.7 ",
    "a DICOM picture": bytes(128) + b"DICM" + bytes(20),
    "a Photoshop picture": b"8BPS\0\1",
    "a JPEG 2000 picture": b"\0\0\0\x0cjP  \r\n\x87\n",
    "a JPEG XL picture": b"\xff\x0a\x00\x00",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_known_kinds_that_are_not_read_are_called_by_name(kind):
    with pytest.raises(LabError) as caught:
        decode_picture(FOREIGN[kind], SIDE, "mine")
    text = str(caught.value)
    assert text.startswith(f"mine is {kind}, which is not read here; ")
    assert text.endswith("save it as PNG or JPEG.")
    assert ("iPhone" in text) == ("HEIC" in kind)


def test_avif_is_read_or_named(tmp_path):
    if not features.check("avif"):
        with pytest.raises(LabError, match="is an AVIF picture, which is not read here"):
            decode_picture(b"\0\0\0\x1cftypavif\0\0\0\0", SIDE)
        return
    Image.new("RGB", (SIDE, SIDE), (200, 100, 50)).save(tmp_path / "a.avif", quality=95)
    assert ".avif" in SUFFIXES
    pixels = Folder(str(tmp_path)).load(1, SIDE, torch.Generator()).images
    assert torch.allclose(pixels[0].mean((1, 2)), torch.tensor([200.0, 100, 50]) / 255, atol=0.03)
