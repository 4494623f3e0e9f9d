"""Trained weights: shipped, published and foreign; a network that loads them answers as the one that was trained."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from lab import Experiment, simulate_round
from lab.attacks.span import Span
from lab.client import checkpoints
from lab.client.checkpoints import imagenet, store, weight_paths
from lab.client.checkpoints.card import read_card
from lab.client.checkpoints.weight_paths import locate_weights
from lab.client.datasets.gallery import credits, picture
from lab.client.datasets.wonderland import Wonderland
from lab.errors import LabError
from lab.federated.networks.base import Activation, BatchNorm
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.gcn import GCN
from lab.federated.networks.imagenet_resnet import ImageNetResNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.squeezenet import SqueezeNet
from lab.federated.networks.transformer import Transformer

SMALL = (3, 32, 32)
LARGE = (3, 224, 224)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def built(options, shape=SMALL, classes=10, seed=0):
    return options.build(shape, classes, generator(seed))


def refused(action):
    with pytest.raises(LabError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Shipped

PICTURES = sorted(name for name, card in checkpoints.shipped().items() if card.network.modality == "images")


def test_shipped_weights_stay_small():
    files = list(checkpoints.FOLDER.glob("*.safetensors"))
    assert sum(file.stat().st_size for file in files) < 20e6
    assert {file.stem for file in files} == set(checkpoints.shipped())


@pytest.mark.parametrize("name", PICTURES)
def test_shipped_weights_fit_and_know_the_animals_of_the_gallery(name):
    card = checkpoints.shipped()[name]
    network = built(card.network, card.image_shape, checkpoints.classes(card.network))
    checkpoints.load(network, card.network)
    shown = ["cat", "kitten", "dog", "horse", "duck", "owl", "hen", "moose", "fire_truck"]  # true members of CIFAR-10's classes
    logits = network(torch.stack([picture(name, 32) for name in shown]))
    labels = torch.tensor([[int(credits()[name]["cifar10_label"])] for name in shown])
    better_guesses = (logits > logits.gather(1, labels)).sum(1).float().mean()
    assert better_guesses < 2.5  # of nine; by chance 4.5


@pytest.mark.parametrize("name", PICTURES)
def test_every_card_says_on_how_many_pictures_it_was_measured(name):
    card = checkpoints.shipped()[name]
    assert card.training_pictures + card.accuracy[1].pictures == 50_000
    assert card.accuracy[0].pictures >= 400
    for accuracy in card.accuracy:
        assert accuracy.share * accuracy.pictures == pytest.approx(round(accuracy.share * accuracy.pictures))
        assert accuracy.share > 0.3


def test_the_shipped_transformer_guesses_held_out_words_as_its_card_says():
    """Beside it what knowing the commonness of every piece alone would give."""
    card = checkpoints.card(Transformer())
    sentences = Wonderland().samples(card.recipe)
    network = built(card.network, card.image_shape, card.classes)
    checkpoints.load(network, card.network)
    (told,) = card.perplexity
    with torch.no_grad():
        assert 1 / sentences.score(lambda raw: network(sentences.inputs(raw))) == pytest.approx(told.value, rel=1e-3)
    trained, kept = (numbers[numbers >= 0] for numbers in (sentences.numbers, sentences.held_out))
    shares = (torch.bincount(trained, minlength=3000) + 1) / (len(trained) + 3000)
    assert told.value < 0.5 * float(shares[kept].log().mean().neg().exp())
    assert (told.sentences, card.training_pictures) == (len(sentences.held_out), len(sentences.numbers))


def test_the_default_network_is_shipped_with_its_recipe():
    card = checkpoints.card(SmallConvNet())
    assert card is not None
    assert checkpoints.recipe(SmallConvNet()) == card.recipe
    assert checkpoints.card(SmallConvNet(width=33)) is None
    assert checkpoints.recipe(SmallConvNet(width=33)) == checkpoints.Recipe()


def test_what_is_refused_of_other_inputs_is_said_in_their_words():
    """Nothing is offered that is of another kind, or that nobody can train."""
    text = refused(lambda: checkpoints.weights(GCN()))
    assert text == "No trained weights are shipped for gcn; give a file of weights, or train it by: gradlab train gcn"
    longer = Experiment(dataset=Wonderland(length=30), network=Transformer(), trained=True, attack=Span())
    text = refused(lambda: simulate_round(longer))
    assert text.endswith("is wanted; choose sentences of the length that they were trained on, or other weights.")
    text = refused(lambda: checkpoints.weights(Transformer(width=64)))
    assert text.endswith("take transformer, give a file of weights, or train it by: gradlab train transformer:width=64")


def test_no_shipped_weights_for_these_options():
    text = refused(lambda: checkpoints.load(built(SmallConvNet(width=16)), SmallConvNet(width=16)))
    assert text == (
        "No trained weights are shipped for small_convnet:width=16; take small_convnet, give a file of weights, "
        "or train it by: gradlab train small_convnet:width=16 --data FOLDER"
    )
    text = refused(lambda: checkpoints.load(built(SmallConvNet()), SmallConvNet(activation=Activation.TANH)))
    assert "No trained weights are shipped for small_convnet:activation=tanh" in text


def test_no_shipped_weights_for_this_network_lists_those_there_are():
    text = refused(lambda: checkpoints.load(built(ConvNet(width=4)), ConvNet(width=4)))
    assert "convnet:width=4; take one of: " in text
    assert "small_convnet" in text.partition("take one of: ")[2]
    assert checkpoints.classes(ConvNet(width=4)) == 10


def test_grey_or_larger_pictures_do_not_fit_the_shipped_weights():
    text = refused(lambda: checkpoints.load(built(SmallConvNet(), (1, 32, 32)), SmallConvNet()))
    assert text.startswith(
        "The weights of the shipped small_convnet do not fit: 'features.0.weight' has the shape (32, 3, 3, 3)"
    )
    assert "colours, and the classes, that they were trained on, or other weights." in text
    assert "'head.0.weight'" in refused(lambda: checkpoints.load(built(SmallConvNet(), (3, 64, 64)), SmallConvNet()))


# Local files


def saved(network, path, wrap=False):
    weights = network.state_dict()
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save({"state_dict": weights} if wrap else weights, path)
    return str(path)


@pytest.mark.parametrize(("file", "wrap"), [("w.safetensors", False), ("w.pth", False), ("w.pt", True)])
def test_a_local_file_gives_the_same_answers(tmp_path, file, wrap):
    options = MLP(depth=2, width=8)
    teacher, network = built(options, classes=7, seed=1), built(options, classes=7)
    path = saved(teacher, tmp_path / file, wrap)
    assert checkpoints.classes(options, path) == 7
    checkpoints.load(network, options, path)
    images = torch.rand(2, *SMALL, generator=generator())
    assert torch.equal(network(images), teacher(images))


def test_the_classes_are_those_of_the_last_of_many_layers(tmp_path):
    options = MLP(depth=8, width=4)
    assert checkpoints.classes(options, saved(built(options, classes=3), tmp_path / "w.safetensors")) == 3


def test_half_precision_is_cast_to_single(tmp_path):
    options = MLP(depth=1)
    network = built(options)
    path = saved(built(options, seed=1).half(), tmp_path / "w.safetensors")
    checkpoints.load(network, options, path)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_batch_statistics_need_no_stored_ones(tmp_path):
    path = saved(built(ResNet(depth=8), seed=1), tmp_path / "w.pth")
    options = ResNet(depth=8, batch_norm=BatchNorm.TRAIN)
    network = built(options)
    checkpoints.load(network, options, path)
    assert torch.equal(
        network.state_dict()["features.0.weight"], built(ResNet(depth=8), seed=1).state_dict()["features.0.weight"]
    )


def test_bad_files(tmp_path):
    options = MLP(depth=1)

    def answer(path):
        text = refused(lambda: checkpoints.load(built(options), options, str(path)))
        assert refused(lambda: checkpoints.classes(options, str(path))) == text
        return text

    assert answer(tmp_path / "gone.pth") == (
        f"There is no file of weights {tmp_path / 'gone.pth'}; give the path of a .safetensors, .pt, .pth or .npz file."
    )
    assert answer(tmp_path) == f"{tmp_path} is a folder; give the path of a .safetensors, .pt, .pth or .npz file."
    for name, data in (("a.pth", b"hello"), ("b.pth", b""), ("c.safetensors", b"hello"), ("d.safetensors", b"")):
        (tmp_path / name).write_bytes(data)
        assert f"{name} holds no weights that can be read safely; give a .safetensors, .pt, .pth or .npz file." in answer(
            tmp_path / name
        )
    for number, content in enumerate(([1, 2], {}, {"a": 1}, torch.zeros(3), {"state_dict": 5})):
        torch.save(content, tmp_path / f"{number}.pth")
        assert "is not a dictionary of tensors by name; save it by torch.save(network.state_dict(), path)." in answer(
            tmp_path / f"{number}.pth"
        )


def test_a_truncated_file(tmp_path):
    for name in ("w.safetensors", "w.pth"):
        path = Path(saved(built(MLP(depth=1)), tmp_path / name))
        path.write_bytes(path.read_bytes()[:-2000])
        assert "holds no weights that can be read safely" in refused(
            lambda path=path: checkpoints.load(built(MLP(depth=1)), MLP(depth=1), str(path))
        )


def test_weights_of_another_network(tmp_path):
    path = saved(built(MLP(depth=1)), tmp_path / "w.pth")
    text = refused(lambda: checkpoints.load(built(MLP(depth=2)), MLP(depth=2), path))
    assert text == (
        f"The weights of {path} are for another network: they lack 'head.2.weight' (10, 256), 'head.2.bias' (10,), "
        "'head.0.weight' has the shape (10, 3072); choose the network they fit."
    )
    text = refused(lambda: checkpoints.load(built(SmallConvNet()), SmallConvNet(), path))
    assert "are for another network: they lack 'features.0.weight' (32, 3, 3, 3), 'features.0.bias' (32,), 'features.2" in text
    assert text.endswith("; choose the network they fit.")
    deeper = saved(built(MLP(depth=2, width=10)), tmp_path / "deep.pth")
    assert "they have a surplus 'head.2.weight' (10, 10)" in refused(
        lambda: checkpoints.load(built(MLP(depth=1)), MLP(depth=1), deeper)
    )


def test_a_file_never_runs_code(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trapped"),)

    torch.save({"a": Trap()}, tmp_path / "trap.pth")
    assert "read safely" in refused(lambda: checkpoints.load(built(MLP()), MLP(), str(tmp_path / "trap.pth")))
    assert not (tmp_path / "trapped").exists()


# Torchvision's


def randomised(model, seed=3):
    """Torchvision's model with every number drawn anew, statistics included, so that nothing agrees by chance."""
    random = generator(seed)
    weights = {
        name: value if value.dtype == torch.int64 else torch.rand(value.shape, generator=random) * 0.1 + 0.01
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(weights)
    return model.eval()


def model_of(name, classes=1000):
    with torch.random.fork_rng(devices=[]):
        return randomised(getattr(models, name)(num_classes=classes))


@pytest.mark.parametrize(("options", "name"), [(SqueezeNet(), "squeezenet1_0"), (ImageNetResNet(18), "resnet18")])
def test_torchvisions_file_gives_torchvisions_answers(options, name, tmp_path):
    """$GRADLAB_SQUEEZENET may name a file of trained SqueezeNet weights to take instead of random ones."""
    theirs = model_of(name)
    path = os.environ.get("GRADLAB_SQUEEZENET") if name == "squeezenet1_0" else None
    if path:
        theirs.load_state_dict(torch.load(path, weights_only=True))
    else:
        path = saved(theirs, tmp_path / "published.pth")
    assert checkpoints.classes(options, path) == 1000
    network = built(options, LARGE, 1000)
    checkpoints.load(network, options, path)
    images = torch.rand(1, 3, 64, 64, generator=generator())
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(network(images), theirs((images - mean) / std), rtol=1e-4, atol=1e-4)


def test_older_files_without_step_counters(tmp_path):
    weights = {name: value for name, value in model_of("resnet18").state_dict().items() if "num_batches" not in name}
    torch.save(weights, tmp_path / "old.pth")
    network = built(ImageNetResNet(18), LARGE, 1000)
    checkpoints.load(network, ImageNetResNet(18), str(tmp_path / "old.pth"))
    assert torch.equal(network.state_dict()["head.0.bias"], weights["fc.bias"])


def test_our_own_file_of_an_imagenet_network_loads_too(tmp_path):
    for options in (SqueezeNet(), ImageNetResNet(18)):
        path = saved(built(options, LARGE, 5, seed=1), tmp_path / f"{options.name}.pth")
        network = built(options, LARGE, 5)
        checkpoints.load(network, options, path)
        assert checkpoints.classes(options, path) == 5


def test_a_wrong_imagenet_file(tmp_path):
    path = saved(model_of("squeezenet1_0"), tmp_path / "squeeze.pth")
    text = refused(lambda: checkpoints.load(built(ImageNetResNet(18), LARGE, 1000), ImageNetResNet(18), path))
    assert "squeeze.pth are for another network: they lack 'features.conv1.weight' (64, 3, 7, 7), 'features.bn1.weight'" in text


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


def test_published_weights_are_never_downloaded_unasked(hub, monkeypatch):
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: pytest.fail("a download that nobody asked for"))
    text = refused(lambda: checkpoints.load(built(ImageNetResNet(50), LARGE, 1000), ImageNetResNet(50)))
    assert text == (
        "The published weights resnet50-0676ba61.pth are not on this machine, and nothing is downloaded unasked; download once "
        "(98 MB) by: gradlab fetch imagenet_resnet:depth=50, or give a file by --weights."
    )
    assert checkpoints.classes(ImageNetResNet(50)) == imagenet.CLASSES == 1000


def test_published_weights_are_fetched_once(hub, monkeypatch):
    theirs = model_of("squeezenet1_0")
    asked = []

    def give(url, path, checksum, progress):
        asked.append((url, checksum, progress))
        saved(theirs, Path(path))

    monkeypatch.setattr("torch.hub.download_url_to_file", give)
    for _ in range(2):
        assert imagenet.fetch(SqueezeNet()) == hub / "squeezenet1_0-b66bff10.pth"
    assert asked == [("https://download.pytorch.org/models/squeezenet1_0-b66bff10.pth", "b66bff10", False)]
    network = built(SqueezeNet(), LARGE, 1000)
    checkpoints.load(network, SqueezeNet())
    assert torch.equal(network.state_dict()["features.1.1.bias"], theirs.state_dict()["classifier.1.bias"])


# Writing


def test_saved_weights_and_card_come_back(tmp_path):
    card = checkpoints.card(SmallConvNet())
    assert card is not None
    network = built(SmallConvNet(), seed=5)
    path = store.save(tmp_path / "new", "mine", network, card)
    assert path == tmp_path / "new" / "mine.safetensors"
    assert read_card(path.with_suffix(".json")) == card
    again = built(SmallConvNet())
    checkpoints.load(again, SmallConvNet(), str(path))
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in again.state_dict().items())


def test_writing_where_it_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    card = checkpoints.card(SmallConvNet())
    text = refused(lambda: store.save(tmp_path / "file", "mine", built(SmallConvNet()), card))
    assert text.startswith(f"The weights cannot be written to {tmp_path / 'file'} (")
    assert text.endswith("choose another folder.")


def test_damaged_cards(tmp_path):
    path = tmp_path / "card.json"
    path.write_text("{")
    assert f"The card {path} cannot be read (JSONDecodeError)" in refused(lambda: read_card(path))
    good = json.loads((checkpoints.FOLDER / "small_convnet.json").read_text())
    path.write_text(json.dumps(good | {"classes": "ten"}))
    assert refused(lambda: read_card(path)) == "Card: classes = 'ten' must be a whole number."


def test_weights_are_found_where_they_are_said_to_be_in_the_data_or_among_the_stages(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADLAB_DATA", str(tmp_path))
    name = "some.pth"
    assert locate_weights(name) == Path(name)
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / name).touch()
    assert locate_weights(name) == tmp_path / "net" / name
    (tmp_path / name).touch()
    assert locate_weights(name) == tmp_path / name
    assert locate_weights(str(tmp_path / "other.pth")) == tmp_path / "other.pth"
    monkeypatch.setattr(weight_paths, "STAGES", tmp_path / "stages")
    (tmp_path / "stages").mkdir()
    for epochs in ("10", "0.2"):
        (tmp_path / "stages" / f"net-epoch-{epochs}.safetensors").touch()
    monkeypatch.setenv("GRADLAB_DATA", "")
    assert locate_weights("net-epoch-10.safetensors") == tmp_path / "stages" / "net-epoch-10.safetensors"
    assert weight_paths.stages("net") == {0.2: "net-epoch-0.2.safetensors", 10.0: "net-epoch-10.safetensors"}


def test_weights_at_hand(hub):
    assert checkpoints.available(SmallConvNet())
    assert not checkpoints.available(SmallConvNet(width=5))
    assert not checkpoints.available(SmallConvNet(), "nowhere.pth")
    assert not checkpoints.available(ImageNetResNet())
    hub.mkdir(parents=True)
    (hub / "resnet18-f37072fd.pth").touch()
    assert checkpoints.available(ImageNetResNet())
