"""Data sets on small synthetic files, whose every pixel is known."""

import gzip
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lab.client.datasets import sheets
from lab.client.datasets.base import CIFAR10_CLASSES
from lab.client.datasets.cifar10 import CIFAR10
from lab.client.datasets.cifar100 import CIFAR100
from lab.client.datasets.fashion_mnist import FashionMNIST
from lab.client.datasets.folder import Folder
from lab.client.datasets.gallery import NAMES, Gallery, decoys
from lab.client.datasets.inline import Inline
from lab.client.datasets.mnist import MNIST
from lab.client.datasets.npz import Npz
from lab.client.datasets.split import Split
from lab.errors import LabError
from lab.experiments.experiment import Experiment
from lab.experiments.rounds import simulate_round
from lab.federated.networks.mlp import MLP
from lab.modalities.images.codec import encode_png
from lab.options.catalogue import entries
from lab.randomness import stream

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def generator():
    return torch.Generator().manual_seed(0)


def load(dataset, count=1, size=32):
    return dataset.load(count, size, generator())


def refused(action):
    with pytest.raises(LabError) as caught:
        action()
    assert str(caught.value).count("\n") == 0
    return str(caught.value)


def save_colour(path, colour, size=(40, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, COLOURS[colour]).save(path)
    return path


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_the_catalogue_lists_every_set_and_no_helper():
    names = {
        "cifar10",
        "cifar100",
        "digits",
        "drawing",
        "fashion_mnist",
        "folder",
        "gallery",
        "inline",
        "lent_folder",
        "mnist",
        "molecule",
        "molecules",
        "npz",
        "tu",
        "unknown",
        "wonderland",
    }
    assert set(entries("dataset")) == names


@pytest.mark.parametrize("name", sorted(entries("dataset")))
def test_every_set_can_be_made_without_options(name):
    assert entries("dataset")[name]().name == name


# Inline


def test_inline_keeps_pictures_through_json(tmp_path):
    paths = [save_colour(tmp_path / f"{name}.png", name) for name in COLOURS]
    own = Inline.from_paths(paths, [3, 5, 9], 32)
    again = Experiment.from_plain(Experiment(dataset=own, batch_size=3).to_plain()).dataset
    for path in paths:
        path.unlink()
    batch = load(again, 3)
    assert batch.images.shape == (3, 3, 32, 32)
    assert torch.equal(batch.images.mean((2, 3)), torch.eye(3))
    assert batch.labels.tolist() == [3, 5, 9]


def test_inline_without_labels_is_of_class_0_and_scales_to_the_size_asked_for():
    own = Inline.from_bytes([(encode_png(torch.full((3, 50, 70), 0.2)), "mine")], 64)
    batch = load(own, 1, 32)
    assert batch.images.shape == (1, 3, 32, 32)
    assert torch.allclose(batch.images, torch.tensor(0.2))
    assert batch.labels.tolist() == [0]
    assert own.class_names == CIFAR10_CLASSES


def test_inline_with_more_classes():
    own = Inline.from_bytes([(encode_png(torch.zeros(3, 4, 4)), "mine")], 4, [999], classes=1000)
    assert load(own, 1, 4).labels.tolist() == [999]
    assert len(own.class_names) == 1000


def test_inline_refuses():
    png = (encode_png(torch.zeros(3, 4, 4)), "mine")
    own = Inline.from_bytes([png], 4)
    assert refused(lambda: Inline.from_bytes([png], 4, [10])) == (
        "inline: the label 10 is out of range; give a class number from 0 to 9."
    )
    assert "the label -1 is out of range" in refused(lambda: Inline.from_bytes([png], 4, [-1]))
    assert refused(lambda: Inline.from_bytes([png], 4, [1, 2])) == (
        "inline: 1 picture came with 2 labels; give one label for each picture."
    )
    assert refused(lambda: load(own, 2)) == "inline: there are 1 pictures, not 2; give more or take a smaller batch."
    assert "inline: there are 0 pictures, not 1" in refused(lambda: load(Inline()))
    assert "notes.txt is not a picture" in refused(lambda: Inline.from_bytes([(b"hello", "notes.txt")], 4))
    assert "inline picture 1 is not base64 text" in refused(lambda: load(Inline(("?",), (0,))))
    assert "inline picture 1 is not a picture" in refused(lambda: load(Inline(("aGVsbG8=",), (0,))))


# Folders


def test_sub_folders_are_classes(tmp_path):
    for name in ("green", "blue", "red"):
        save_colour(tmp_path / name / "b.png", name)
        save_colour(tmp_path / name / "A.JPG", name)
    (tmp_path / "red" / "notes.txt").write_text("no picture")
    own = Folder(str(tmp_path))
    batch = load(own, 6)
    assert own.class_names == ("blue", "green", "red")
    assert batch.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert batch.images.mean((2, 3)).argmax(1).tolist() == [2, 2, 1, 1, 0, 0]
    assert load(Folder(str(tmp_path), first=5)).labels.tolist() == [2]


def test_sub_folders_called_after_cifar10_take_its_numbers(tmp_path):
    save_colour(tmp_path / "dog" / "a.png", "red")
    save_colour(tmp_path / "cat" / "a.png", "green")
    own = Folder(str(tmp_path))
    assert own.class_names == CIFAR10_CLASSES
    assert load(own, 2).labels.tolist() == [3, 5]


def test_a_lone_class_gets_a_counterpart(tmp_path):
    save_colour(tmp_path / "aunt" / "a.png", "red")
    assert Folder(str(tmp_path)).class_names == ("aunt", "not aunt")


def test_a_flat_folder_is_of_class_0(tmp_path):
    save_colour(tmp_path / "2.png", "red", (50, 20))
    save_colour(tmp_path / "1.png", "blue")
    batch = load(Folder(str(tmp_path)), 2)
    assert batch.labels.tolist() == [0, 0]
    assert batch.images.mean((2, 3)).argmax(1).tolist() == [2, 0]


def test_folder_refuses(tmp_path):
    gone = str(tmp_path / "gone")
    assert refused(lambda: load(Folder(gone))) == (
        f"folder: there is no folder {gone!r}; give the path of a folder with pictures."
    )
    assert "there is no folder ''" in refused(lambda: load(Folder()))
    assert "holds no pictures; put files such as PNG or JPEG there or in sub-folders." in refused(
        lambda: load(Folder(str(tmp_path)))
    )
    save_colour(tmp_path / "a.png", "red")
    assert "holds 1 pictures, so 2 from number 0 on cannot be had; add pictures, or take a smaller" in refused(
        lambda: load(Folder(str(tmp_path)), 2)
    )
    (tmp_path / "a.png").write_bytes(b"")
    assert "a.png is empty (0 bytes)" in refused(lambda: load(Folder(str(tmp_path))))


# npz


def write_npz(path, **arrays):
    np.savez_compressed(path, **arrays)
    return str(path)


@pytest.mark.parametrize("as_float", [False, True])
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_npz_reads_either_layout(tmp_path, layout, as_float):
    images = pixels(5, 32, 32, 3)
    stored = images if layout == "nhwc" else images.transpose(0, 3, 1, 2)
    stored = stored / np.float64(255) if as_float else stored
    path = write_npz(tmp_path / "own.npz", images=stored, labels=np.arange(5))
    batch = load(Npz(path, first=2), 2)
    assert torch.allclose(batch.images, torch.from_numpy(images[2:4] / 255).float().permute(0, 3, 1, 2))
    assert batch.labels.tolist() == [2, 3]


def test_npz_reads_grey_pictures_and_takes_central_squares(tmp_path):
    images = pixels(1, 32, 40)
    path = write_npz(tmp_path / "own.npz", images=images, labels=np.array([11]))
    assert torch.equal(load(Npz(path)).images[0, 0], torch.from_numpy(images[0, :, 4:36] / 255).float())
    assert Npz(path).class_names[-1] == "class 11"
    assert load(Npz(path), 1, 64).images.shape == (1, 1, 64, 64)


def test_npz_refuses(tmp_path):
    good, labels = pixels(2, 8, 8, 3), np.arange(2)

    def answer(**arrays):
        return refused(lambda: load(Npz(write_npz(tmp_path / "bad.npz", **arrays))))

    assert answer(images=good, labels=np.arange(3)) == (
        "npz: the array labels of bad.npz has 3 labels (shape (3,)) for 2 pictures; give one label for each."
    )
    assert "must hold whole numbers or names, one for each picture; it holds float64." in answer(
        images=good, labels=np.array([0.5, 1])
    )
    assert "has 0 labels (shape (0,)) for 2 pictures" in answer(images=good, labels=np.array([], int))
    assert "the array images of bad.npz has the shape (2, 8, 8, 5), which is none of pictures; give (n, h, w)" in answer(
        images=pixels(2, 8, 8, 5), labels=labels
    )
    assert "has the shape (2, 8)" in answer(images=pixels(2, 8), labels=labels)
    assert "holds NaN or infinity; give numbers for all pixels." in answer(
        images=np.full_like(good, np.nan, np.float32), labels=labels
    )
    objects = np.array([{"a": 1}, 2], dtype=object)
    assert "is made of Python objects, which are not opened; save plain numbers by numpy.savez." in answer(
        images=good, labels=objects
    )
    path = write_npz(tmp_path / "good.npz", images=good, labels=labels)
    assert "holds 2 pictures, so 3 from number 0 on cannot be had" in refused(lambda: load(Npz(path), 3))
    assert "npz: there is no file ''; give the path of an .npz file." in refused(lambda: load(Npz()))
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[: len(whole) // 2])
    assert "is no readable .npz file" in refused(lambda: load(Npz(path)))


def test_npz_never_runs_a_pickle(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trapped"),)

    path = write_npz(tmp_path / "trap.npz", images=np.array([Trap()], dtype=object), labels=np.arange(1))
    refused(lambda: load(Npz(path)))
    assert not (tmp_path / "trapped").exists()


def test_npz_refuses_what_would_unpack_beyond_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("lab.files.arrays.MAX_BYTES", 1000)
    path = write_npz(tmp_path / "bomb.npz", images=np.zeros((10, 32, 32), np.uint8), labels=np.arange(10))
    assert "takes more than 9.31323e-07 GiB; save less in it." in refused(lambda: load(Npz(path)))


# CIFAR-10 as sheets


def write_sheets(root, train=3000, test=400):
    """The layout with random tiles; returns the training and the test pictures as (n, 3, 32, 32)."""
    random = np.random.default_rng(1)
    (root / "train").mkdir(parents=True)
    sets = []
    for count in (train, test):
        tiles = random.integers(0, 256, (count, 32, 32, 3), np.uint8)
        for number, part in enumerate(np.split(tiles, range(1000, count, 1000))):
            sheet = part.reshape(-1, 40, 32, 32, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 1280, 3)
            name = f"train/train_{number:02d}.png" if count == train else "test_first400.png"
            Image.fromarray(sheet).save(root / name, compress_level=0)
        sets.append(torch.from_numpy(tiles).permute(0, 3, 1, 2))
    np.save(root / "train_labels.npy", (np.arange(train) % 10).astype(np.uint8))
    np.save(root / "test_first400_labels.npy", (np.arange(test) % 7).astype(np.uint8))
    return sets


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    root = tmp_path_factory.mktemp("sheets")
    return root, *write_sheets(root)


def test_sheets_give_each_picture_with_its_label(stored):
    root, train, test = stored
    batch = load(CIFAR10(first=995, split=Split.TRAIN, root=str(root)), 10)
    assert torch.equal(batch.images, train[995:1005].float() / 255)
    assert batch.labels.tolist() == [(995 + step) % 10 for step in range(10)]
    batch = load(CIFAR10(first=41, root=str(root)), 2)
    assert torch.equal(batch.images, test[41:43].float() / 255)
    assert batch.labels.tolist() == [41 % 7, 42 % 7]


def test_everything_is_what_training_reads(stored):
    root, train, _ = stored
    images, labels = CIFAR10(root=str(root)).everything(Split.TRAIN)
    assert torch.equal(images, train)
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64


def test_only_the_needed_sheets_are_decoded(stored, monkeypatch):
    opened = []
    decode = sheets._tiles
    monkeypatch.setattr(sheets, "_tiles", lambda path: opened.append(path.name) or decode(path))
    load(CIFAR10(first=1999, split=Split.TRAIN, root=str(stored[0])), 2)
    assert opened == ["train_01.png", "train_02.png"]


def test_the_environment_names_the_folder(stored, monkeypatch):
    monkeypatch.setenv("GRADLAB_DATA", str(stored[0]))
    assert torch.equal(load(CIFAR10()).images, stored[2][:1].float() / 255)
    monkeypatch.delenv("GRADLAB_DATA")
    assert CIFAR10().folder == Path.home() / ".cache" / "gradlab"
    assert CIFAR10(root="/elsewhere").folder == Path("/elsewhere")


@pytest.mark.parametrize("first", [0, 3, 200, 391])
def test_the_line_up_is_drawn_from_the_set_outside_the_batch(stored, first):
    root, _, test = stored
    tiles = [tile.numpy().tobytes() for tile in (test.float() / 255)]
    for seed in range(20):
        others = CIFAR10(first=first, root=str(root)).others(4, 7, 32, torch.Generator().manual_seed(seed))
        assert others is not None
        numbers = [tiles.index(other.numpy().tobytes()) for other in others]
        assert numbers == list(range(numbers[0], numbers[0] + 7))
        assert not set(numbers) & set(range(first, first + 4))


def test_a_set_with_too_few_others_leaves_the_line_up_to_the_gallery(tmp_path):
    write_sheets(tmp_path, train=1000, test=40)
    chosen = CIFAR10(root=str(tmp_path), first=4)
    assert chosen.others(30, 7, 32, generator()) is None
    attacked = simulate_round(Experiment(dataset=chosen, network=MLP(depth=2, width=8), batch_size=30))
    assert len(attacked.line_up) == 8


def test_a_picture_of_a_set_is_lined_up_with_pictures_of_that_set(stored):
    experiment = Experiment(dataset=CIFAR10(root=str(stored[0])), network=MLP(depth=2, width=8))
    known = {tile.numpy().tobytes() for tile in (stored[2].float() / 255)}
    assert {suspect.numpy().tobytes() for suspect in simulate_round(experiment).line_up} <= known


def test_too_far_into_the_set(stored):
    assert refused(lambda: load(CIFAR10(first=399, root=str(stored[0])), 2)) == (
        "cifar10: the test pictures at hand end at number 399, so 2 from number 399 on cannot be had; "
        "take a smaller first or batch."
    )


def test_damaged_sheets(tmp_path):
    write_sheets(tmp_path, train=80, test=40)
    sheet = tmp_path / "test_first400.png"
    sheet.write_bytes(sheet.read_bytes()[:1000])
    assert "test_first400.png cannot be read" in refused(lambda: load(CIFAR10(root=str(tmp_path))))
    (tmp_path / "test_first400_labels.npy").write_bytes(b"x")
    assert "test_first400_labels.npy cannot be read" in refused(lambda: load(CIFAR10(root=str(tmp_path))))
    (tmp_path / "train_labels.npy").unlink()
    assert "train_labels.npy cannot be read (FileNotFoundError); copy the data set again." in refused(
        lambda: load(CIFAR10(root=str(tmp_path), split=Split.TRAIN))
    )


# Torchvision's layouts, without a network


@pytest.fixture
def offline(monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.mark.parametrize("kind", [CIFAR10, CIFAR100, MNIST, FashionMNIST])
def test_what_is_not_there_is_said_and_never_downloaded(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("a download that nobody asked for"))
    text = refused(lambda: load(kind(root=str(tmp_path))))
    assert text == (
        f"The data set {kind.__name__} is not on this machine, and nothing is downloaded unasked; download once "
        f"({kind.megabytes} MB) by: gradlab fetch {kind.name} --data {tmp_path}, or name a folder that holds its files by root "
        "or $GRADLAB_DATA."
    )
    assert refused(lambda: load(kind(root=str(tmp_path), split=Split.TRAIN))) == text


def write_batches(root, name, monkeypatch, per_file):
    """Torchvision's pickled batches, small, with checksums switched off; returns the training pictures."""
    from torchvision import datasets

    whole = getattr(datasets, name)
    key = "labels" if name == "CIFAR10" else "fine_labels"
    folder = root / whole.base_folder
    folder.mkdir()
    tiles = pixels(per_file * len(whole.train_list), 3 * 32 * 32)
    parts = dict(zip([file for file, _ in whole.train_list], np.split(tiles, len(whole.train_list)), strict=True))
    for number, (file, part) in enumerate((parts | {whole.test_list[0][0]: tiles[:per_file]}).items()):
        labels = [(number * per_file + place) % 10 for place in range(per_file)]
        (folder / file).write_bytes(pickle.dumps({"data": part, key: labels}))
    (folder / whole.meta["filename"]).write_bytes(pickle.dumps({whole.meta["key"]: ["a"]}))
    monkeypatch.setattr(whole, "train_list", [[file, None] for file, _ in whole.train_list])
    monkeypatch.setattr(whole, "test_list", [[file, None] for file, _ in whole.test_list])
    monkeypatch.setattr(whole, "meta", whole.meta | {"md5": None})
    return torch.from_numpy(tiles).view(-1, 3, 32, 32)


@pytest.mark.parametrize("kind", [CIFAR10, CIFAR100])
def test_torchvision_batches(kind, tmp_path, offline, monkeypatch):
    tiles = write_batches(tmp_path, kind.__name__, monkeypatch, per_file=10)
    monkeypatch.setattr(kind, "per_file", 10)
    first = 8 if kind is CIFAR10 else 6
    batch = load(kind(first=first, split=Split.TRAIN, root=str(tmp_path)), 4)
    assert torch.equal(batch.images, tiles[first : first + 4].float() / 255)
    assert batch.labels.tolist() == [number % 10 for number in range(first, first + 4)]
    assert torch.equal(load(kind(first=3, root=str(tmp_path)), 2).images, tiles[3:5].float() / 255)


def test_torchvision_opens_only_the_needed_file(tmp_path, offline, monkeypatch):
    tiles = write_batches(tmp_path, "CIFAR10", monkeypatch, per_file=10)
    monkeypatch.setattr(CIFAR10, "per_file", 10)
    for number in (1, 2, 4, 5):
        (tmp_path / "cifar-10-batches-py" / f"data_batch_{number}").write_bytes(b"must not be read")
    batch = load(CIFAR10(first=25, split=Split.TRAIN, root=str(tmp_path)), 2)
    assert torch.equal(batch.images, tiles[25:27].float() / 255)


def write_idx(folder, prefix, images, labels, gz):
    folder.mkdir(parents=True, exist_ok=True)
    header = struct.pack(">IIII", 0x803, *images.shape)
    files = {"images-idx3": header + images.tobytes(), "labels-idx1": struct.pack(">II", 0x801, len(labels)) + labels.tobytes()}
    for name, data in files.items():
        path = folder / f"{prefix}-{name}-ubyte{'.gz' if gz else ''}"
        path.write_bytes(gzip.compress(data) if gz else data)


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
@pytest.mark.parametrize("place", ["", "raw"])
def test_idx_files(kind, place, gz, tmp_path, offline):
    images, labels = pixels(12, 28, 28), (np.arange(12) % 10).astype(np.uint8)
    write_idx(tmp_path / kind.__name__ / "raw" if place else tmp_path, "train", images, labels, gz)
    own = kind(first=9, split=Split.TRAIN, root=str(tmp_path))
    batch = load(own, 3, 28)
    assert torch.equal(batch.images, torch.from_numpy(images[9:, None] / 255).float())
    assert batch.labels.tolist() == [9, 0, 1]
    assert load(own, 3, 32).images.shape == (3, 1, 32, 32)
    assert "end at number 11" in refused(lambda: load(own, 4))


def test_damaged_idx_files(tmp_path, offline):
    write_idx(tmp_path, "t10k", pixels(5, 28, 28), np.arange(5, dtype=np.uint8), gz=False)
    images = tmp_path / "t10k-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:2000])
    assert "is damaged or no idx file; delete it and copy or download it again." in refused(
        lambda: load(MNIST(root=str(tmp_path)), 5)
    )
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(b"hello, this is text")
    assert "labels-idx1-ubyte is damaged or no idx file" in refused(lambda: load(MNIST(root=str(tmp_path))))


def test_class_names_are_right():
    assert len(CIFAR100().class_names) == 100
    assert list(CIFAR100().class_names) == sorted(CIFAR100().class_names)
    assert CIFAR100().class_names[49] == "mountain"
    assert CIFAR10().class_names[3] == "cat"
    assert MNIST().class_names[7] == "7"
    assert FashionMNIST().class_names[9] == "ankle boot"


def test_the_gallery_takes_labels_of_ones_choice():
    plain = Gallery().load(3, 32, stream(0, "data"))
    alike = Gallery(labels=(7,)).load(3, 32, stream(0, "data"))
    assert torch.equal(alike.images, plain.images)
    assert alike.labels.tolist() == [7, 7, 7]
    assert Gallery(labels=(1, 2)).load(3, 32, stream(0, "data")).labels.tolist() == [1, 2, 1]
    assert refused(lambda: Gallery(labels=(10,))) == "gallery: the label 10 is out of range; give numbers from 0 to 9."


def test_a_folder_of_several_sets_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADLAB_DATA", str(tmp_path))
    assert MNIST().folder == CIFAR10().folder == tmp_path
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "mnist_test").mkdir()
    assert CIFAR10().folder == tmp_path / "cifar10"
    assert MNIST().folder == tmp_path / "mnist_test"
    (tmp_path / "mnist" / "raw").mkdir(parents=True)  # torchvision's own, where letter case does not count
    assert MNIST().folder == tmp_path / "mnist_test"


def test_a_batch_of_the_whole_gallery_still_has_a_line_up():
    images = Gallery().load(len(NAMES), 32, stream(0, "data")).images
    others = decoys(images, 7, stream(0, "line-up"))
    assert len(others) == 7
    assert torch.cdist(others.flatten(1), images.flatten(1)).min() > 0.5
