"""Pictures of any size and colour: every network of the catalogue runs on them, or says in one sentence why it cannot."""

from dataclasses import replace

import pytest
import torch
from of_pictures import of_pictures
from rounds import observe, random_batch

from lab import Experiment, LabError, reconstruct, score, simulate_round
from lab.attacks.gradient_matching import GradientMatching
from lab.client.datasets.gallery import Gallery
from lab.commands.choosing import sides
from lab.experiments.edits import edit
from lab.experiments.links import read, write
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.imagenet_vit import ImageNetViT
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.vgg11 import VGG11
from lab.federated.networks.vision_transformer import VisionTransformer
from lab.federated.tensors import IMAGES
from lab.options.catalogue import entries

SLIM = {"mlp": MLP(width=8), "small_convnet": SmallConvNet(width=4), "convnet": ConvNet(width=4), "resnet": ResNet(depth=8)}
SLIM |= {"vgg11": VGG11(units=16), "imagenet_vit": ImageNetViT(width=192), "vision_transformer": VisionTransformer(width=16)}
NETWORKS = [pytest.param(SLIM.get(name, entry()), id=name) for name, entry in of_pictures("network").items()]
SHAPES = [(8, 0, 0), (28, 0, 1), (17, 40, 4), (48, 32, 2)]
ATTACK = GradientMatching(iterations=1)


def run_or_refusal(experiment):
    try:
        return simulate_round(experiment), ""
    except LabError as refusal:
        return None, str(refusal)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_runs_or_refuses_in_a_sentence(network, shape):
    height, width, channels = shape
    experiment = Experiment(network=network, image_size=height, image_width=width, channels=channels, attack=ATTACK)
    attacked, refusal = run_or_refusal(experiment)
    if attacked is None:
        assert "too small" in refusal or "do not fill" in refusal
        return
    assert attacked.observation.input_shape == (channels or 3, height, width or height)
    *_, last = reconstruct(experiment, attacked.observation)
    assert last.candidate.shape == (1, *attacked.observation.input_shape)
    assert score(attacked, last).psnr_db > 0


def test_most_of_them_run_at_28_pixels():
    """The size of MNIST; those of 224 pixels shrink it to nothing, and patches of 16 do not fill it."""
    found = {
        name: run_or_refusal(Experiment(network=SLIM.get(name, entry()), image_size=28, channels=1))[0]
        for name, entry in of_pictures("network").items()
    }
    assert {name for name, attacked in found.items() if attacked is not None} >= {
        "lenet",
        "mlp",
        "small_convnet",
        "convnet",
        "resnet",
        "flower_net",
        "vision_transformer",
    }


def test_sizes_that_no_picture_has_are_refused_and_the_old_ones_mean_what_they_did():
    for side in (1, 7, 513, -1):
        for name in ("image_size", "image_width"):
            with pytest.raises(LabError, match=f"{name} = {side} is"):
                simulate_round(Experiment(**{name: side}))
    for side in (0, 32, 64, 224):
        assert read(f"image_size={side}").experiment.sides == ((side or 32,) * 2)
    odd = Experiment(image_size=178, image_width=218, channels=1, mean=(0.1,), std=(0.3,))
    assert read(write(odd)).experiment == odd
    assert Experiment.from_plain(odd.to_plain()) == odd


@pytest.mark.parametrize(
    ("mean", "std", "said"),
    [
        ((float("nan"),), (), "is "),
        ((0.1, 0.2), (0.3,), "do not belong together"),
        ((0.1,), (0.0,), "divided by it"),
        ((0.1,), (float("inf"),), "is no deviation"),
        ((0.1, 0.2), (0.3, 0.3), "mean is given for 2 channels, and the pictures have 3"),
    ],
)
def test_statistics_that_cannot_be_are_refused(mean, std, said):
    with pytest.raises(LabError, match=said):
        simulate_round(Experiment(mean=mean, std=std))


def test_ones_own_statistics_are_what_enters_the_network():
    plain = simulate_round(Experiment(mean=(0.0,), std=(1.0,))).observation.network
    pixels = random_batch(1).images
    assert torch.equal(plain.normalise(pixels), pixels)
    usual = simulate_round(Experiment()).observation.network
    given = simulate_round(Experiment(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))).observation.network
    torch.testing.assert_close(usual(pixels), given(pixels))


def test_a_picture_that_is_not_square_is_the_middle_of_the_square():
    square = Gallery().load(1, 64, torch.Generator()).images
    shown = simulate_round(Experiment(network=LeNet(), image_size=40, image_width=64)).batch.inputs
    assert torch.equal(shown, square[:, :, 12:52])
    grey = simulate_round(Experiment(network=LeNet(), image_size=64, channels=1)).batch.inputs
    torch.testing.assert_close(grey[:, 0], 0.299 * square[:, 0] + 0.587 * square[:, 1] + 0.114 * square[:, 2])


@pytest.mark.parametrize(
    "said", [{"image_size": 9}, {"image_width": 16}, {"channels": 1}, {"mean": (0.5,), "std": (0.0,)}], ids=str
)
@pytest.mark.parametrize("modality", sorted(set(entries("modality")) - {IMAGES}))
def test_of_inputs_that_are_no_pictures_the_form_of_pictures_says_nothing(modality, said):
    plain = edit(Experiment(), "network", entries("modality")[modality]().network)
    sent, other = (simulate_round(experiment).observation.update for experiment in (plain, replace(plain, **said)))
    assert all(torch.equal(other[name], tensor) for name, tensor in sent.items())


def test_a_network_that_no_memory_holds_is_refused_before_anything_is_computed(monkeypatch):
    from lab.machine import resources

    monkeypatch.setattr(resources, "memory", lambda: 1e9)
    with pytest.raises(LabError, match=r"512 x 512 pixels this network and its update take 2\.\d? ?GB|take 26 GB"):
        simulate_round(Experiment(network=MLP(width=4096), image_size=512))


@pytest.mark.parametrize(("text", "found"), [("28", (28, 0)), ("178x218", (178, 218)), ("96X128", (96, 128))])
def test_a_size_as_typed(text, found):
    assert [value for _, value in sides(text)] == list(found)


@pytest.mark.parametrize("text", ["", "x", "28x", "-3", "28x28x3", "a", "1" * 40, "²"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(LabError, match="is no size"):
        sides(text)


def test_the_pictures_shape_survives_two_protocols_worth_of_attack():
    """A way down the layers, too, on pictures that are not square."""
    batch = random_batch(1, (2, 12, 20))
    observation = observe(MLP(width=16), batch)
    *_, last = reconstruct(replace(Experiment(), attack=ATTACK), observation)
    assert last.candidate.shape == batch.images.shape
