"""An update from a file is an experiment like others, whose truth nobody knows; what is wrong with it is told in a sentence."""

import json
import struct
from dataclasses import replace

import pytest
import torch
from of_pictures import of_pictures
from rounds import random_batch, smooth_batch
from safetensors.torch import load, save_file
from torch import nn
from torch.nn import functional

from lab import Experiment, LabError
from lab.attacks.gradient_matching import GradientMatching
from lab.capture import FORMAT, Recipe, capturing, save
from lab.client.datasets.unknown import MAX_BYTES, Unknown
from lab.experiments import links
from lab.experiments.edits import patched
from lab.experiments.imported_update import import_update, round_of
from lab.experiments.network_inference import infer_network
from lab.federated.networks.base import BatchNorm, Network
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.flower_net import FlowerNet
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.vision_transformer import Pool, VisionTransformer
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.options.catalogue import entries
from lab.randomness import stream

SIZED = [
    MLP(depth=5, width=100, bias=False),
    SmallConvNet(width=48),
    ConvNet(width=17),
    ResNet(depth=14, widen=2),
    VisionTransformer(patch=8, width=64, depth=2, pool=Pool.MEAN),
]
CPU = torch.device("cpu")


class Foreign(nn.Module):
    """The net of Flower's tutorial as its people wrote it: under names of their own."""

    def __init__(self):
        super().__init__()
        self.conv1, self.pool, self.conv2 = nn.Conv2d(3, 6, 5), nn.MaxPool2d(2, 2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, pixels):
        found = self.pool(functional.relu(self.conv1(pixels)))
        found = self.pool(functional.relu(self.conv2(found))).flatten(1)
        return self.fc3(functional.relu(self.fc2(functional.relu(self.fc1(found)))))


def meta(network, shape, classes=10):
    """The shapes of a network's weights, and no numbers."""
    with torch.device("meta"):
        parts = network.modules(shape, classes)
    return {f"{place}.{name}": weight for place, part in enumerate(parts) for name, weight in part.state_dict().items()}


def captured(folder, trained, batch, protocol=None, **told):
    """The bytes of a capture of a network of the catalogue, and the update in it."""
    protocol = protocol or FedSGD()
    built = trained.build(batch.image_shape, 10, stream(3, "weights"))
    sent = protocol.update(built, batch.images, batch.labels)
    recipe = replace(
        Recipe(
            sent="change" if protocol.sends_change else "gradient",
            learning_rate=getattr(protocol, "learning_rate", None),
            local_steps=getattr(protocol, "local_steps", 1),
            pictures=len(batch.images),
            input_shape=batch.image_shape,
            mode="eval",
        ),
        **told,
    )
    return save(folder / "x.safetensors", built.state_dict(), sent, recipe).read_bytes(), sent


@pytest.mark.parametrize("network", [*(entry() for entry in of_pictures("network").values()), *SIZED], ids=str)
def test_every_network_is_recognised_by_its_shapes(network):
    shape = (3, network.image_size, network.image_size)
    found, classes = infer_network(meta(network, shape), shape, (10,))
    assert (found, classes) == (network, 10)


@pytest.mark.parametrize("network", [MLP(width=16), LeNet(), ResNet(depth=8)], ids=str)
@pytest.mark.parametrize(("protocol", "pictures"), [(FedSGD(), 1), (FedAvg(local_steps=2, learning_rate=0.05), 3)], ids=str)
def test_what_was_sent_is_what_the_server_sees(network, protocol, pictures, tmp_path):
    """The experiment has the client's network, rule and pictures; its observation the very update, on the very weights."""
    batch = smooth_batch(pictures)
    data, sent = captured(tmp_path, network, batch, protocol)
    experiment = import_update(data, "x").experiment
    assert (experiment.network, experiment.protocol, experiment.batch_size) == (network, protocol, pictures)
    assert (experiment.input_shape, experiment.labels) == ((3, 32, 32), LabelSource.INFERRED)
    seen = round_of(experiment, CPU).observation
    assert all(torch.equal(seen.update[name], tensor) for name, tensor in sent.items())
    again = seen.protocol.update(seen.network, batch.images, batch.labels)
    assert all(torch.allclose(again[name], tensor, rtol=1e-4, atol=1e-7) for name, tensor in sent.items())


@pytest.mark.parametrize("steps", [0, 2])
def test_a_model_under_its_own_names_is_the_catalogues(steps, tmp_path):
    """A client that never heard of the lab: names, mean and deviation are its own."""
    with torch.random.fork_rng(devices=[]):
        model = Foreign()
    batch = smooth_batch(2)
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    with capturing(model, tmp_path / "x.safetensors", mean=0.3, std=0.6):
        for _ in range(max(1, steps)):
            optimiser.zero_grad()
            functional.cross_entropy(model((batch.images - 0.3) / 0.6), batch.labels).backward()
            if steps:
                optimiser.step()
    found = import_update((tmp_path / "x.safetensors").read_bytes(), "x")
    assert found.experiment.network == FlowerNet()
    assert "No shape tells its activation" in found.notes[0]
    seen = round_of(found.experiment, CPU).observation
    again = seen.protocol.update(seen.network, batch.images, batch.labels)
    assert again.keys() == seen.update.keys()
    assert all(torch.allclose(again[name], tensor, rtol=1e-3, atol=1e-6) for name, tensor in seen.update.items())


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_batch_norm_is_as_the_client_had_it(mode, tmp_path):
    data, _ = captured(tmp_path, ResNet(depth=8), smooth_batch(), mode=mode)
    wanted = BatchNorm.TRAIN if mode == "train" else BatchNorm.EVAL
    assert import_update(data, "x").experiment.network == ResNet(depth=8, batch_norm=wanted)


class Wrapped(nn.Module):
    """As frameworks wrap a model: each name has one part more."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, pixels):
        return self.module(pixels)


def entering(model, images):
    """What torch says enters each batch norm, one after another."""
    found = []
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(lambda _, given: found.append(given[0].detach())) for norm in norms]
    model(images)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize(("pictures", "steps"), [(1, 1), (3, 1), (2, 2), (2, 0)])
@pytest.mark.parametrize("wrap", [lambda model: model, Wrapped], ids=["its names", "wrapped"])
def test_what_batch_norms_counted_in_one_step_tells_the_batchs_own_statistics(wrap, pictures, steps, tmp_path):
    """As on the command line, where the model's own code stands beside the file; of several steps, or of none, nothing."""
    network, batch = ConvNet(width=4), smooth_batch(pictures)
    built = network.build(batch.image_shape, 10, stream(3, "weights"))
    client = wrap(built).train()
    for norm in client.modules():
        if isinstance(norm, nn.BatchNorm2d):  # they are not those of a fresh network
            norm.running_mean.add_(0.3)
            norm.running_var.mul_(1.7)
    expected = entering(client, batch.images)
    optimiser = torch.optim.SGD(client.parameters(), 0.1)
    with capturing(client, tmp_path / "x.safetensors", input_shape=batch.image_shape, pictures=pictures):
        for _ in range(max(1, steps)):
            optimiser.zero_grad()
            functional.cross_entropy(client(batch.images), batch.labels).backward()
            if steps:
                optimiser.step()
    found = import_update((tmp_path / "x.safetensors").read_bytes(), "x", (replace(network, batch_norm=BatchNorm.TRAIN),))
    told = round_of(found.experiment, CPU).observation.batch_statistics
    assert len(told) == (len(expected) if steps == 1 else 0)
    for values, statistics in zip(expected, told.values(), strict=False):
        torch.testing.assert_close(statistics.mean, values.mean((0, 2, 3)), rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(statistics.variance, values.var((0, 2, 3), correction=0), rtol=1e-3, atol=1e-4)


def test_counts_that_did_not_come_tell_nothing(tmp_path):
    """Neither do those of some norms alone."""
    batch, network = smooth_batch(2), ConvNet(width=4, batch_norm=BatchNorm.TRAIN)
    for kept in ("none", "one norm's"):
        built = replace(network, batch_norm=BatchNorm.EVAL).build(batch.image_shape, 10, stream(3, "weights"))
        protocol = FedAvg(1, learning_rate=0.1)
        sent = protocol.update(built, batch.images, batch.labels)
        if kept != "none":
            sent |= {name: torch.ones_like(t) for name, t in list(built.state_dict().items()) if "features.1.running" in name}
        recipe = Recipe("change", learning_rate=0.1, pictures=2, input_shape=batch.image_shape, mode="train")
        data = save(tmp_path / "x.safetensors", built.state_dict(), sent, recipe).read_bytes()
        assert not round_of(import_update(data, "x", (network,)).experiment, CPU).observation.batch_statistics


def test_what_the_recipe_names_or_the_visitor_chose_comes_first(tmp_path):
    """No shape tells a sigmoid from a ReLU."""
    own = {"name": "mlp", "width": 16, "activation": "sigmoid"}
    told = MLP(width=16, activation=Experiment.from_plain({"network": own}).network.activation)
    batch = smooth_batch()
    assert import_update(captured(tmp_path, told, batch)[0], "x").experiment.network == MLP(width=16)
    assert import_update(captured(tmp_path, told, batch)[0], "x", (told,)).experiment.network == told
    found = import_update(captured(tmp_path, told, batch, network=own)[0], "x")
    assert (found.experiment.network, found.notes) == (told, ())


def test_the_experiment_is_one_like_others(tmp_path):
    """Changed by name, written as plain data and read again; a link leaves the file out, and says so."""
    experiment = import_update(captured(tmp_path, MLP(width=16), smooth_batch())[0], "mine").experiment
    assert Experiment.from_plain(json.loads(json.dumps(experiment.to_plain()))) == experiment
    changed = patched(experiment, [("attack", "gradient_matching"), ("iterations", 7), ("batch_size", 2)])
    assert (changed.attack.iterations, changed.batch_size, changed.dataset) == (7, 2, experiment.dataset)
    assert round_of(changed, CPU).observation.batch_size == 2
    assert "Unknown" not in str(links.read(links.write(experiment)).experiment)
    assert "file" in links.left_out(experiment)
    assert len(links.write(experiment)) < links.LONGEST


def tensors_of(data):
    length = struct.unpack("<Q", data[:8])[0]
    return load(data), json.loads(data[8 : 8 + length])["__metadata__"]


def with_tensors(folder, data, change):
    """The same file with other tensors in it."""
    tensors, told = tensors_of(data)
    change(tensors)
    save_file(tensors, folder / "y.safetensors", told)
    return (folder / "y.safetensors").read_bytes()


def header_of(size):
    """A file that declares so many bytes of numbers, and has none."""
    entry = {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}
    recipe = json.dumps({"input_shape": [3, 32, 32]})
    text = json.dumps({"__metadata__": {"format": FORMAT, "recipe": recipe}, "weights/a": entry, "update/a": entry}).encode()
    return struct.pack("<Q", len(text)) + text


def nan(name):
    def change(tensors):
        tensors[name] = torch.full_like(tensors[name], torch.nan)

    return change


HOSTILE = {
    "nothing": lambda folder, data: b"",
    "a picture": lambda folder, data: b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
    "a pickle": lambda folder, data: b"PK\x03\x04" + b"\0" * 100,
    "40 GB in the header": lambda folder, data: header_of(40 * 2**30),
    "a header of 2**63 bytes": lambda folder, data: struct.pack("<Q", 2**63) + data[8:],
    "cut short": lambda folder, data: data[: len(data) // 2],
    "too large": lambda folder, data: data + b"\0" * MAX_BYTES,
    "a spare weight": lambda folder, data: with_tensors(folder, data, lambda t: t.update({"weights/x": torch.ones(3, 3)})),
    "a spare update": lambda folder, data: with_tensors(folder, data, lambda t: t.update({"update/x": torch.ones(3, 3)})),
    "a missing weight": lambda folder, data: with_tensors(folder, data, lambda t: t.pop("weights/head.0.weight")),
    "no update": lambda folder, data: with_tensors(folder, data, lambda t: [t.pop(k) for k in list(t) if k[0] == "u"]),
    "another model's": lambda folder, data: with_tensors(
        folder, data, lambda t: t.update({"weights/head.0.weight": torch.ones(16, 7)})
    ),
    "an update of another shape": lambda folder, data: with_tensors(
        folder, data, lambda t: t.update({"update/head.0.weight": torch.ones(16, 7)})
    ),
    "whole numbers": lambda folder, data: with_tensors(
        folder, data, lambda t: t.update({"update/head.0.bias": torch.ones(16, dtype=torch.complex64)})
    ),
    "NaN in the update": lambda folder, data: with_tensors(folder, data, nan("update/head.0.bias")),
    "NaN in the weights": lambda folder, data: with_tensors(folder, data, nan("weights/head.0.bias")),
    "no shape": lambda folder, data: captured(folder, MLP(width=16), smooth_batch(), input_shape=None)[0],
    "a tiny shape": lambda folder, data: captured(folder, MLP(width=16), random_batch(1, (3, 4, 4)))[0],
    "a huge shape": lambda folder, data: captured(folder, MLP(width=16), smooth_batch(), input_shape=(3, 9999, 9999))[0],
    "many channels": lambda folder, data: captured(folder, MLP(width=16), random_batch(1, (9, 16, 16)))[0],
    "too many pictures": lambda folder, data: captured(folder, MLP(width=16), smooth_batch(), pictures=1000)[0],
    "a deviation of nothing": lambda folder, data: captured(folder, MLP(width=16), smooth_batch(), std=(0.0,))[0],
    "means for two channels": lambda folder, data: captured(folder, MLP(width=16), smooth_batch(), mean=(0.5, 0.5))[0],
    "no network of ours": lambda folder, data: captured(folder, MLP(width=16), smooth_batch(), network={"name": "os.system"})[
        0
    ],
    "another network than it says": lambda folder, data: captured(
        folder, MLP(width=16), smooth_batch(), network={"name": "lenet"}
    )[0],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_cannot_be_attacked_is_refused_in_one_sentence(what, tmp_path):
    data = HOSTILE[what](tmp_path, captured(tmp_path, MLP(width=16), smooth_batch())[0])
    with pytest.raises(LabError) as refused:
        round_of(import_update(data, "mine.safetensors").experiment, CPU)
    sentence = str(refused.value)
    assert sentence.endswith(".")
    assert str(tmp_path) not in sentence
    assert len(sentence) < 500


REFUSED = {"trained": True, "labels": "known", "defence": "pruning", "network": "resnet", "image_size": 64}


@pytest.mark.parametrize("path", REFUSED)
def test_a_change_that_the_file_forbids_is_refused_in_one_sentence(path, tmp_path):
    experiment = import_update(captured(tmp_path, MLP(width=16), smooth_batch())[0], "mine").experiment
    with pytest.raises(LabError, match=r"\.$"):
        round_of(patched(experiment, [(path, REFUSED[path])]), CPU)


def test_a_rate_that_nobody_told_is_assumed_and_said(tmp_path):
    data, _ = captured(tmp_path, MLP(width=16), smooth_batch(), FedAvg(local_steps=1, learning_rate=0.1), learning_rate=None)
    found = import_update(data, "x")
    assert found.experiment.protocol == FedAvg(local_steps=1)
    assert "no learning rate" in found.notes[-1]


def test_no_client_can_be_simulated_with_what_nobody_knows(tmp_path):
    dataset = import_update(captured(tmp_path, MLP(width=16), smooth_batch())[0], "mine").experiment.dataset
    assert isinstance(dataset, Unknown)
    for ask in (lambda: dataset.load(1, 32, stream(0, "x")), lambda: round_of(Experiment(attack=GradientMatching()))):
        with pytest.raises(LabError):
            ask()


def test_all_networks_are_tried(monkeypatch):
    assert all(issubclass(entry, Network) for entry in entries("network").values())
    with pytest.raises(LabError, match="No network of the lab's catalogue has weights of these shapes"):
        infer_network({"a.weight": torch.ones(3, 5)}, (3, 8, 8), (3,))


def test_the_command_line_repeats_what_a_page_has_opened(tmp_path, monkeypatch, capsys):
    """A run that the page has saved holds the file: its experiment is complete."""
    from lab.cli import app

    experiment = import_update(captured(tmp_path, MLP(width=16), smooth_batch())[0], "mine").experiment
    (tmp_path / "run.json").write_text(json.dumps({"experiment": experiment.to_plain()}))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        app(["run", "--experiment", "run.json", "--iterations", "3"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert "Residual: its own update leaves" in told
    assert "PSNR" not in told
