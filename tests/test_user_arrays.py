"""Arrays as people store them: whatever they are called, however they lie, whichever numbers they hold."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lab.cli import app
from lab.client.datasets.base import CIFAR10_CLASSES, MAX_CLASSES
from lab.client.datasets.npz import Npz
from lab.errors import LabError

SIDE = 16
COUNT = 6
NAMES = {  # names of pictures and labels -> the part they are
    ("images", "labels"): "",
    ("image", "label"): "",
    ("X", "y"): "",
    ("x", "Y"): "",
    ("data", "targets"): "",
    ("data", "labels"): "",
    ("arr_0", "arr_1"): "",
    ("inputs", "targets"): "",
    ("train_images", "train_labels"): "train",
    ("test_images", "test_labels"): "test",
    ("val_images", "val_labels"): "val",
    ("x_train", "y_train"): "train",
    ("X_test", "y_test"): "test",
    ("trainX", "trainY"): "train",
    ("x_valid", "y_valid"): "val",
    ("X_tr", "y_tr"): "train",
}
LAYOUTS = {  # from (n, h, w, c)
    "nhwc": lambda x: x,
    "nchw": lambda x: x.transpose(0, 3, 1, 2),
    "hwcn": lambda x: x.transpose(1, 2, 3, 0),
    "rows": lambda x: x.transpose(0, 3, 1, 2).reshape(len(x), -1),
    "nhw": lambda x: x[..., 0],
}
NUMBERS = {  # from uint8: the numbers as stored, and what is to be seen of them in [0, 1]
    "uint8": (lambda x: x, lambda x: x / 255, False),
    "uint16": (lambda x: x.astype(np.uint16) * 257, lambda x: x / 255, False),
    "uint16 of 12 bits": (lambda x: x.astype(np.uint16) * 16, lambda x: x / 255, True),
    "int64": (lambda x: x.astype(np.int64), lambda x: x / 255, True),
    "int8": (lambda x: (x.astype(np.int16) - 128).astype(np.int8), lambda x: x / 255, True),
    "int16": (lambda x: x.astype(np.int16) * 8 - 1024, lambda x: x / 255, True),
    "bool": (lambda x: x > 127, lambda x: x > 127, True),
    "zeros and ones": (lambda x: (x > 127).astype(np.uint8), lambda x: x > 127, True),
    "floats to 1": (lambda x: x / np.float32(255), lambda x: x / 255, False),
    "half floats": (lambda x: (x / 255).astype(np.float16), lambda x: x / 255, False),
    "floats to 255": (lambda x: x.astype(np.float64), lambda x: x / 255, True),
    "floats to 16": (lambda x: x / 255 * 16, lambda x: x / 255, True),
    "floats from -1": (lambda x: x / 127.5 - 1, lambda x: x / 255, True),
    "normalised": (lambda x: (x / 255 - 0.1307) / 0.3081, lambda x: x / 255, True),
    "big-endian": (lambda x: x.astype(">f4"), lambda x: x / 255, True),
}


def pixels(channels=3, count=COUNT, seed=0):
    drawn = np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, channels), np.uint8)
    drawn.flat[0], drawn.flat[1] = 0, 255
    return drawn


def written(folder, **arrays):
    np.savez(folder / "own.npz", **arrays)
    return str(folder / "own.npz")


def load(path, count=COUNT, **options):
    return Npz(path, **options).load(count, SIDE, torch.Generator())


def refused(path, **options):
    with pytest.raises(LabError) as caught:
        load(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    names=st.sampled_from(list(NAMES)),
    layout=st.sampled_from(list(LAYOUTS)),
    numbers=st.sampled_from(list(NUMBERS)),
    channels=st.sampled_from([1, 3]),
    column=st.booleans(),
)
def test_any_usual_file_gives_its_pictures_and_labels(tmp_path_factory, names, layout, numbers, channels, column):
    images = pixels(1 if layout == "nhw" else channels)
    labels = np.arange(COUNT) % 5
    stored, seen, said = NUMBERS[numbers]
    arrays = {names[0]: LAYOUTS[layout](stored(images)), names[1]: labels[:, None] if column else labels}
    path = written(tmp_path_factory.mktemp("npz"), **arrays)
    batch = load(path)
    truth = torch.from_numpy(np.ascontiguousarray(seen(images).astype(np.float32).transpose(0, 3, 1, 2)))
    assert torch.allclose(batch.images, truth, atol=2e-3)
    assert batch.labels.tolist() == labels.tolist()
    assert any("were drawn so that" in note for note in batch.notes) == said
    assert torch.equal(load(path, part=NAMES[names]).images, batch.images)


LABELS = {  # stored -> class numbers, whether that needs saying
    "whole": (np.array([3, 1, 4, 1, 5, 9]), [3, 1, 4, 1, 5, 9], False),
    "column": (np.array([[3], [1], [4], [1], [5], [9]], np.uint8), [3, 1, 4, 1, 5, 9], False),
    "row": (np.array([[3, 1, 4, 1, 5, 9]]), [3, 1, 4, 1, 5, 9], False),
    "floats": (np.array([3.0, 1, 4, 1, 5, 9]), [3, 1, 4, 1, 5, 9], False),
    "true and false": (np.array([True, False, True, True, False, False]), [1, 0, 1, 1, 0, 0], False),
    "one-hot": (np.eye(7)[[3, 1, 4, 1, 5, 6]], [3, 1, 4, 1, 5, 6], True),
    "one-hot bool": (np.eye(2, dtype=bool)[[0, 1, 1, 0, 1, 1]], [0, 1, 1, 0, 1, 1], True),
    "signs": (np.array([-1, 1, 1, -1, 1, -1]), [0, 1, 1, 0, 1, 0], True),
    "identifiers": (np.array([2085620, 2123045, 2085620, 5, 7, 2123045]), [2, 3, 2, 0, 1, 3], True),
    "64 bits": (np.array([2**63 + 5, 9, 2**63 + 5, 9, 9, 9], np.uint64), [1, 0, 1, 0, 0, 0], True),
    "names": (np.array(["dax", "wug", "dax", "blick", "wug", "dax"]), [1, 2, 1, 0, 2, 1], True),
    "CIFAR-10's names": (np.array(["cat", "dog", "cat", "truck", "ship", "frog"]), [3, 5, 3, 9, 8, 6], False),
    "bytes": (np.array([b"b", b"a", b"b", b"a", b"a", b"a"]), [1, 0, 1, 0, 0, 0], True),
    "letters beyond ASCII": (np.array([b"\xe9t\xe9", b"a", b"a", b"a", b"a", b"a"]), [1, 0, 0, 0, 0, 0], True),
    "one name": (np.array(["wug"] * 6), [0] * 6, True),
    "one identifier": (np.array([70_000] * 6), [0] * 6, True),
    "ImageNet's": (np.array([999, 0, 1, 2, 3, 4]), [999, 0, 1, 2, 3, 4], False),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_become_class_numbers(tmp_path, kind):
    stored, numbers, said = LABELS[kind]
    path = written(tmp_path, images=pixels(), labels=stored)
    batch = load(path)
    assert batch.labels.tolist() == numbers
    assert bool(batch.notes) == said
    names = Npz(path).class_names
    assert len(names) > max(numbers)
    if kind in ("names", "identifiers", "signs", "64 bits", "bytes"):
        assert [names[number] for number in numbers] == [str(each) for each in stored.astype(str)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=COUNT, max_size=COUNT))
def test_no_label_asks_for_more_classes_than_there_are_or_a_thousand(tmp_path_factory, labels):
    path = written(tmp_path_factory.mktemp("npz"), images=pixels(), labels=np.array(labels, np.int64))
    batch = load(path)
    names = Npz(path).class_names
    assert len(names) <= 1000
    assert 0 <= batch.labels.min() <= batch.labels.max() < len(names)
    same = torch.tensor([[one == other for one in labels] for other in labels])
    assert torch.equal(batch.labels[:, None] == batch.labels[None], same)
    order = batch.labels[np.argsort(labels, kind="stable")]
    assert (order.diff() >= 0).all()


def test_more_classes_than_are_possible(tmp_path):
    count = MAX_CLASSES + 1
    path = written(tmp_path, images=np.zeros((count, 1, 1), np.uint8), labels=np.arange(count) * 3)
    assert refused(path, first=0) == (
        f"npz: the array labels of own.npz has {count} different labels; keep the pictures of at most {MAX_CLASSES} classes."
    )


def test_many_classes_without_gaps_keep_their_numbers(tmp_path):
    labels = np.random.default_rng(0).permutation(3000)
    path = written(tmp_path, images=np.zeros((3000, 1, 1), np.uint8), labels=labels)
    batch = load(path)
    assert batch.labels.tolist() == labels[:COUNT].tolist()
    assert not any("identifiers" in note for note in batch.notes)


def test_parts_are_chosen_by_name_and_that_is_said(tmp_path):
    parts = {part: pixels(seed=seed) for seed, part in enumerate(("train", "test", "val"))}
    arrays = {f"{part}_images": images for part, images in parts.items()}
    path = written(tmp_path, **arrays, **{f"{part}_labels": np.arange(COUNT) for part in parts})
    for part, images in parts.items():
        assert torch.equal(load(path, part=part).images, torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
    assert torch.equal(load(path).images, load(path, part="train").images)
    assert load(path).notes == ("own.npz is in parts (train, test, val); the part train was taken.",)


def test_pictures_without_labels(tmp_path):
    path = written(tmp_path, holiday=pixels())
    batch = load(path)
    assert batch.labels.tolist() == [0] * COUNT
    assert batch.notes == (
        "The array holiday was taken for the pictures.",
        "There are no labels, so every picture is of class 0.",
    )
    assert Npz(path).class_names == CIFAR10_CLASSES
    for one in (pixels()[0], pixels()[0, ..., 0]):
        alone = load(written(tmp_path, image=one), count=1)
        assert torch.equal(alone.images[0], torch.from_numpy(one.reshape(SIDE, SIDE, -1)).permute(2, 0, 1) / 255)


UNCLEAR = {
    "too many": {"a": pixels(), "b": pixels(), "c": np.arange(COUNT)},
    "none": {"weights": np.zeros(5)},
    "of another length": {"a": pixels(), "b": np.arange(COUNT + 1)},
}


@pytest.mark.parametrize("kind", UNCLEAR)
def test_what_is_unclear_is_refused_with_what_is_there(tmp_path, kind):
    text = refused(written(tmp_path, **UNCLEAR[kind]))
    for name, array in UNCLEAR[kind].items():
        assert f"{name} ({' x '.join(map(str, array.shape))}, {array.dtype})" in text
    assert text.endswith("Save it by numpy.savez(path, images=..., labels=...).")


def test_a_part_that_is_not_there(tmp_path):
    path = written(tmp_path, images=pixels(), labels=np.arange(COUNT))
    assert "own.npz holds no pictures of the part 'val'; its arrays are: images (6 x 16 x 16 x 3, uint8)" in refused(
        path, part="val"
    )


WRONG = {
    "several set": ({"labels": np.ones((COUNT, 4))}, "has 4 labels for each picture, and not exactly one of them is set"),
    "shares": ({"labels": np.full((COUNT, 2), 0.5)}, "has 2 labels for each picture, and not exactly one of them is set"),
    "fractions": ({"labels": np.arange(COUNT) / 2}, "must hold whole numbers or names"),
    "NaN labels": ({"labels": np.full(COUNT, np.nan)}, "must hold whole numbers or names"),
    "times": ({"labels": np.zeros(COUNT, "M8[s]")}, "must hold whole numbers or names"),
    "too few": ({"labels": np.arange(3)}, "has 3 labels (shape (3,)) for 6 pictures"),
    "four channels": (
        {"images": np.zeros((COUNT, 8, 8, 4), np.uint8)},
        "has the shape (6, 8, 8, 4), which is none of pictures",
    ),
    "five axes": ({"images": np.zeros((COUNT, 8, 8, 8, 3), np.uint8)}, "has the shape (6, 8, 8, 8, 3)"),
    "odd rows": ({"images": np.zeros((COUNT, 10), np.uint8)}, "has the shape (6, 10)"),
    "complex": ({"images": np.zeros((COUNT, 8, 8), complex)}, "is made of complex128; give numbers"),
    "text": ({"images": np.full((COUNT, 8, 8), "a")}, "is made of <U1; give numbers"),
    "infinite": ({"images": np.full((COUNT, 8, 8), np.inf)}, "holds NaN or infinity"),
    "empty": ({"images": np.zeros((COUNT, 0, 8))}, "has the shape (6, 0, 8)"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_understood_is_said_truly(tmp_path, kind):
    arrays, sentence = WRONG[kind]
    assert sentence in refused(written(tmp_path, **({"images": pixels(), "labels": np.arange(COUNT)} | arrays)))


def test_what_was_made_of_arrays_reaches_the_reader(tmp_path):
    path = written(tmp_path, x_train=pixels() * 1.0, y_train=np.array([[70_000], [5], [5], [5], [5], [5]]))
    words = ["run", "--dataset", f"npz:path={path}", "--network", "mlp:depth=2,width=8", "--iterations", "2"]
    told = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")]).stdout
    notes = (
        "The identifiers in the array y_train of own.npz were numbered in their order (5 as 0, 70000 as 1).",
        "The numbers in the array x_train of own.npz were drawn so that 0 is black and 255 is white.",
    )
    kept = (tmp_path / "out" / "result.json").read_text()
    assert all(note in told and note in kept for note in notes)
