"""What is missing is told before anything is computed, by the same sentence as reading it would tell."""

import pytest
import torch
from torch import hub
from torchvision import datasets, models

from lab import LabError
from lab.client import checkpoints
from lab.client.checkpoints import imagenet
from lab.client.datasets.folder import Folder
from lab.client.datasets.gallery import Gallery
from lab.client.datasets.inline import Inline
from lab.client.datasets.npz import Npz
from lab.client.datasets.torchvision_cifar import CifarSet
from lab.federated.networks.imagenet_resnet import ImageNetResNet
from lab.federated.networks.imagenet_vit import ImageNetViT
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.squeezenet import SqueezeNet
from lab.options import catalogue

SETS = catalogue.entries("dataset")
PUBLISHED = [SqueezeNet(), *(ImageNetResNet(depth=depth) for depth in (18, 34, 50, 101, 152))]
PUBLISHED += [ImageNetViT(width=768)]


def said_by(ask):
    with pytest.raises(LabError) as refused:
        ask()
    return str(refused.value)


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without data."""
    for name in ("GRADLAB_DATA", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("lab.client.datasets.digits.find_spec", lambda package: None)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    ("data", "count", "size"),
    [*((entry(), 10_000, 32) for entry in SETS.values()), (Folder("."), 1, 32), (Npz("."), 1, 32)],
    ids=str,
)
def test_no_data_set_is_found_missing_only_once_it_is_read(data, count, size):
    asked = said_by(lambda: data.check_available(count, size))
    assert said_by(lambda: data.load(count, size, torch.Generator())) == asked


def test_what_is_there_is_not_refused(tmp_path):
    Inline.from_paths([], [], 32).check_available(0, 32)
    Gallery().check_available(24, 64)


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    ("network", "path"),
    [(MLP(width=17), ""), (MLP(), "nowhere.pth"), (MLP(), "."), *((network, "") for network in PUBLISHED)],
    ids=str,
)
def test_no_weights_are_found_missing_only_once_they_are_read(network, path):
    asked = said_by(lambda: checkpoints.check_available(network, path))
    assert said_by(lambda: checkpoints.weights(network, path)) == asked


def test_shipped_weights_are_at_hand():
    for card in checkpoints.shipped().values():
        checkpoints.check_available(card.network)
    checkpoints.check_available(SmallConvNet(), str(checkpoints.FOLDER / "small_convnet.safetensors"))


def torchvisions_name(network):
    if isinstance(network, ImageNetViT):
        return "vit_b_16"
    return f"resnet{network.depth}" if isinstance(network, ImageNetResNet) else "squeezenet1_0"


@pytest.mark.parametrize("network", PUBLISHED, ids=str)
@pytest.mark.parametrize("variable", [None, "TORCH_HOME", "XDG_CACHE_HOME"])
@pytest.mark.usefixtures("nowhere")
def test_published_weights_are_looked_for_where_torchvision_keeps_them(network, variable, monkeypatch):
    if variable:
        monkeypatch.setenv(variable, "~/own")
    theirs = models.get_model_weights(torchvisions_name(network)).IMAGENET1K_V1
    assert str(imagenet.cache_path(network)) == f"{hub.get_dir()}/checkpoints/{theirs.url.rpartition('/')[2]}"
    assert theirs.url == imagenet.address(network)
    assert f"({theirs.meta['_file_size']:.0f} MB)" in said_by(lambda: imagenet.cached_file(network))


def test_cifar_is_looked_for_where_torchvision_keeps_it():
    for entry in SETS.values():
        if issubclass(entry, CifarSet):
            assert entry.base_folder == getattr(datasets, entry.__name__).base_folder
