"""Weights as people save them: whatever wraps, names, casts or accompanies them, the network gets those very numbers."""

import argparse
import os
import pathlib
import random
import zipfile
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from lab.client import checkpoints
from lab.client.datasets.npz import Npz
from lab.errors import LabError
from lab.experiments.experiment import Experiment
from lab.experiments.rounds import simulate_round
from lab.federated.networks.base import BatchNorm
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet

NETWORKS = (LeNet(), MLP(depth=3, width=6), ResNet(depth=8), SmallConvNet(width=4))
PREFIXES = ("module.", "model.", "_module.", "_orig_mod.", "net.", "network.", "classifier_of_mine.")
KEYS = ("state_dict", "model", "net", "model_state_dict", "weights", "ema", "params", "anything at all")


def built(options, seed=0, shape=(3, 32, 32), classes=10):
    return options.build(shape, classes, torch.Generator().manual_seed(seed))


def trained(options, seed=1, **more):
    """A network of which every number is drawn anew, statistics included, so that nothing agrees by chance."""
    network = built(options, seed, **more)
    generator = torch.Generator().manual_seed(seed)
    drawn = {
        name: torch.rand(value.shape, generator=generator) + 0.5 if value.is_floating_point() else value + 7
        for name, value in network.state_dict().items()
    }
    network.load_state_dict(drawn)
    return network


def loaded(options, path, **more):
    """The state of a network that took the file, without counters, and what was said."""
    network = built(options, **more)
    notes = checkpoints.load(network, options, str(path))
    return numbers(network), notes


def numbers(network):
    return {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}


def same(one, other, tolerance=0.0):
    return one.keys() == other.keys() and all(
        torch.allclose(one[name], other[name].float(), rtol=tolerance, atol=0) for name in one
    )


def refused(options, path, **more):
    with pytest.raises(LabError) as caught:
        loaded(options, path, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def companions(weights):
    """What trainings keep beside the weights: numbers of NumPy, settings, an optimiser as large as the network."""
    moments = {number: {"exp_avg": value, "exp_avg_sq": value} for number, value in enumerate(weights.values())}
    return {
        "epoch": 3,
        "best_acc": np.float64(91.2),
        "seed": np.int64(3),
        "curve": np.linspace(0, 1, 5),
        "names": np.array(["cat", "dog"]),
        "args": argparse.Namespace(lr=0.1, path=pathlib.PurePosixPath("data")),
        "optimizer": {"state": moments, "param_groups": [{"lr": 0.1, "params": [0, 1]}]},
        "rng": {1, 2},
    }


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    options=st.sampled_from(NETWORKS),
    prefixes=st.lists(st.sampled_from(PREFIXES), max_size=3),
    keys=st.lists(st.sampled_from(KEYS), max_size=2),
    kind=st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float64]),
    beside=st.booleans(),
    old=st.booleans(),
    as_arrays=st.booleans(),
)
def test_whatever_wraps_them_the_numbers_arrive(tmp_path_factory, options, prefixes, keys, kind, beside, old, as_arrays):
    truth = numbers(trained(options))
    stored = {name: value.to(kind) for name, value in trained(options).state_dict().items() if value.is_floating_point()}
    if as_arrays and kind is not torch.bfloat16:
        stored = {name: value.numpy() for name, value in stored.items()}
    content = {"".join(prefixes) + name: value for name, value in stored.items()}
    for number, key in enumerate(keys):
        content = {key: content} | (companions(truth) if beside and number == len(keys) - 1 else {})
    path = tmp_path_factory.mktemp("weights") / "w.pth"
    torch.save(content, path, _use_new_zipfile_serialization=not old or beside or as_arrays)
    got, notes = loaded(options, path)
    assert same(got, truth, tolerance=1e-2 if kind in (torch.float16, torch.bfloat16) else 1e-6)
    assert notes == ()


@pytest.mark.parametrize("options", NETWORKS, ids=lambda options: options.name)
def test_wrappers_inside_names_layouts_in_memory_and_counters_change_nothing(tmp_path, options):
    source = trained(options).to(memory_format=torch.channels_last)
    names = {
        name: name.replace(".0.", ".0._orig_mod.", 1).replace("features.", "features.module.", 1) for name in numbers(source)
    }
    content = {names[name]: torch.nn.Parameter(value) for name, value in numbers(source).items()}
    content |= {"features.0.total_ops": torch.zeros(1), "n_averaged": torch.tensor(4), "epoch": torch.tensor(3)}
    torch.save(content, tmp_path / "w.pth")
    got, notes = loaded(options, tmp_path / "w.pth")
    assert same(got, numbers(source))
    assert notes == ()


@pytest.mark.parametrize("options", NETWORKS, ids=lambda options: options.name)
@pytest.mark.parametrize("form", ["safetensors", "npz", "arr_n", "list", "arrays"])
def test_other_forms_of_file(tmp_path, options, form):
    truth = numbers(trained(options))
    path = tmp_path / "w.bin"  # the ending says nothing: what is in a file tells its form
    arrays = [value.numpy() for value in truth.values()]
    if form == "safetensors":
        save_file({f"model.{name}": value.contiguous() for name, value in truth.items()}, path)
    elif form == "npz":
        with path.open("wb") as file:
            np.savez(file, **{name: value.numpy() for name, value in truth.items()})
    elif form == "arr_n":  # as Flower keeps a round
        with path.open("wb") as file:
            np.savez(file, *arrays)
    else:
        torch.save([*truth.values()] if form == "list" else arrays, path)
    got, notes = loaded(options, path)
    assert same(got, truth)
    assert bool(notes) == (form in ("arr_n", "list", "arrays"))


def foreign(names, seed):
    """Other names for the same tensors, drawn at random."""
    draw = random.Random(seed)
    return [
        f"{draw.choice(['body', 'enc', 'conv', 'z'])}{number}.{draw.choice(['w', 'weight', 'kernel'])}"
        for number in range(len(names))
    ]


@pytest.mark.parametrize("options", NETWORKS, ids=lambda options: options.name)
@pytest.mark.parametrize("seed", range(4))
def test_foreign_names_are_matched_by_shape_and_order_and_that_is_said(tmp_path, options, seed):
    truth = numbers(trained(options))
    named = dict(zip(foreign(truth, seed), truth.values(), strict=True))
    torch.save({"state_dict": named, "epoch": 1} if seed % 2 else named, tmp_path / "foreign.pth")
    got, (note,) = loaded(options, tmp_path / "foreign.pth")
    assert same(got, truth)
    first = next(iter(named))
    assert note.startswith(
        f"The names in foreign.pth are foreign: matched by shape and order ({first} as {next(iter(truth))}, "
    )


@pytest.mark.parametrize("options", NETWORKS, ids=lambda options: options.name)
@pytest.mark.parametrize("seed", range(6))
def test_where_the_alphabet_hides_the_order_a_file_is_refused_rather_than_guessed(tmp_path, options, seed):
    """Safetensors sorts its names; whichever way this ends, no tensor lands in the place of another."""
    truth = numbers(trained(options))
    save_file(dict(zip(foreign(truth, seed), [value.contiguous() for value in truth.values()], strict=True)), tmp_path / "f.st")
    network = built(options)
    try:
        checkpoints.load(network, options, str(tmp_path / "f.st"))
    except LabError as error:
        text = str(error)
    else:
        text = ""
    if not text:
        assert same(numbers(network), truth)
        return
    assert "have the shapes of this network under other names, in no order that tells which is which; call them" in text
    assert repr(next(iter(truth))) in text


@pytest.mark.parametrize("options", NETWORKS, ids=lambda options: options.name)
def test_numbered_names_keep_their_order_through_safetensors(tmp_path, options):
    truth = numbers(trained(options))
    content = {f"p.{number}": value.contiguous() for number, value in enumerate(truth.values())}
    save_file(content, tmp_path / "f.safetensors")
    got, notes = loaded(options, tmp_path / "f.safetensors")
    assert same(got, truth)
    assert len(notes) == 1


def test_two_sets_of_weights_in_a_file_are_told_apart(tmp_path):
    ours, others = numbers(trained(LeNet(), 1)), numbers(trained(LeNet(), 2))
    torch.save({"model": ours, "ema": others}, tmp_path / "two.pth")
    got, (note,) = loaded(LeNet(), tmp_path / "two.pth")
    assert same(got, ours)
    assert note == "two.pth holds several fitting weights (model, ema); model were taken."
    torch.save({"netG": numbers(trained(MLP(depth=2, width=5))), "netD": ours}, tmp_path / "gan.pth")
    assert same(loaded(LeNet(), tmp_path / "gan.pth")[0], ours)


# What does not fit


@pytest.mark.parametrize("others", NETWORKS, ids=lambda options: options.name)
@pytest.mark.parametrize("options", NETWORKS, ids=lambda options: options.name)
@pytest.mark.parametrize("wrap", [dict, lambda weights: {f"module.{name}": value for name, value in weights.items()}])
def test_weights_of_another_network_are_told_by_names_and_shapes(tmp_path, options, others, wrap):
    if options == others:
        return
    given_names, wanted = numbers(built(others)), numbers(built(options))
    torch.save(wrap(given_names), tmp_path / "w.pth")
    text = refused(options, tmp_path / "w.pth")
    lacking = [name for name in wanted if name not in given_names]
    surplus = [name for name in given_names if name not in wanted]
    assert f"they lack {lacking[0]!r} {tuple(wanted[lacking[0]].shape)}" in text if lacking else "lack" not in text
    assert f"a surplus {surplus[0]!r} {tuple(given_names[surplus[0]].shape)}" in text if surplus else "surplus" not in text
    assert len(text) < 900


@pytest.mark.parametrize("deep", range(2, 6))
def test_a_part_of_a_deeper_network_is_no_network(tmp_path, deep):
    """Its first or last layer alone has all the shapes of a shallow one."""
    torch.save(numbers(built(MLP(depth=deep, width=10))), tmp_path / "w.pth")
    assert "they have a surplus 'head.2.weight'" in refused(MLP(depth=1), tmp_path / "w.pth")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.sampled_from(NETWORKS), st.integers(0, 99), st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e300]))
def test_a_number_that_is_none_is_refused_with_its_tensor(tmp_path_factory, options, place, wrong):
    weights = {name: value.double() for name, value in numbers(trained(options)).items()}
    name = list(weights)[place % len(weights)]
    weights[name].view(-1)[place % weights[name].numel()] = wrong
    path = tmp_path_factory.mktemp("nan") / "w.pth"
    torch.save({"state_dict": {f"module.{key}": value for key, value in weights.items()}}, path)
    text = refused(options, path)
    assert text.startswith(f"{name!r} of {path} holds 1 of {weights[name].numel()} numbers that are NaN, infinite or beyond")


def test_a_damaged_file_leaves_the_network_as_it_was(tmp_path):
    weights = numbers(trained(LeNet()))
    weights["head.0.bias"][0] = float("nan")
    torch.save(weights, tmp_path / "w.pth")
    network = built(LeNet())
    with pytest.raises(LabError):
        checkpoints.load(network, LeNet(), str(tmp_path / "w.pth"))
    assert same(numbers(network), numbers(built(LeNet())))


def test_whole_numbers_are_no_weights(tmp_path):
    torch.save({name: value.to(torch.int8) for name, value in numbers(trained(LeNet())).items()}, tmp_path / "w.pth")
    assert "holds int8 where floats are wanted; give plain weights, neither quantised nor complex." in refused(
        LeNet(), tmp_path / "w.pth"
    )


class Own(torch.nn.Module):
    """A network of somebody's own, pickled whole."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))


@pytest.mark.parametrize("wrap", [lambda network: network, lambda network: {"model": network, "epoch": 1}])
def test_a_whole_pickled_network_is_told_how_to_save(tmp_path, wrap):
    torch.save(wrap(Own()), tmp_path / "whole.pth")
    assert refused(LeNet(), tmp_path / "whole.pth") == (
        f"{tmp_path / 'whole.pth'} is a whole pickled network, which only its own code could rebuild; with that, save it by "
        "torch.save(network.state_dict(), path)."
    )


def test_weights_beside_a_pickled_network_are_found(tmp_path):
    truth = numbers(trained(LeNet()))
    torch.save({"model": Own(), "state_dict": truth}, tmp_path / "both.pth")
    assert same(loaded(LeNet(), tmp_path / "both.pth")[0], truth)


class Settings(dict):
    """A dictionary of somebody's own kind."""


@pytest.mark.parametrize(
    "wrap", [lambda sd: Settings(net=Settings(sd), a=1), lambda sd: defaultdict(dict, net=sd), lambda sd: Counter(net=sd)]
)
def test_dictionaries_of_every_kind_are_dictionaries(tmp_path, wrap):
    truth = numbers(trained(LeNet()))
    torch.save(wrap(truth), tmp_path / "w.pth")
    assert same(loaded(LeNet(), tmp_path / "w.pth")[0], truth)


def test_shapes_without_numbers_are_no_weights(tmp_path):
    torch.save({name: value.to("meta") for name, value in numbers(trained(LeNet())).items()}, tmp_path / "w.pth")
    assert "'features.0.weight' of" in refused(LeNet(), tmp_path / "w.pth")
    assert "has a shape but no numbers; save the weights from a real device." in refused(LeNet(), tmp_path / "w.pth")


def test_a_program_is_told_how_to_save(tmp_path):
    with zipfile.ZipFile(tmp_path / "scripted.pt", "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"scripted/{name}", b"")
    assert "is a TorchScript program; save it by torch.save(network.state_dict(), path) in the place where it was made." in (
        refused(LeNet(), tmp_path / "scripted.pt")
    )


class Trap:
    """Would call something when unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("call", [(open, "trapped", "w"), (exec, "open('trapped', 'w')"), (eval, "open('trapped', 'w')")])
def test_nothing_that_a_file_names_is_called_and_its_weights_are_read(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    truth = numbers(trained(LeNet()))
    torch.save({"state_dict": truth, "trap": Trap(*call)}, "trap.pth")
    assert same(loaded(LeNet(), tmp_path / "trap.pth")[0], truth)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize(
    "call", [(os.mkdir, "trapped"), (pathlib.Path.touch, pathlib.Path("trapped")), (os.system, "touch trapped")]
)
def test_what_even_a_stand_in_cannot_take_is_refused(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": numbers(trained(LeNet())), "trap": Trap(*call)}, "trap.pth")
    assert "holds no weights that can be read safely" in refused(LeNet(), tmp_path / "trap.pth")
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("beside", [{"head": [torch.zeros(4, 4), torch.zeros(4)]}, {"critic": {"w": torch.zeros(2, 3)}}])
def test_foreign_names_are_not_matched_to_a_part_of_something_larger(tmp_path, beside):
    part = {"w": torch.ones(10, 3072), "b": torch.ones(10)}
    torch.save({"body": part} | beside, tmp_path / "w.pth")
    assert "are for another network" in refused(MLP(depth=1), tmp_path / "w.pth")
    torch.save({"body": part, "optim": beside, "loss": torch.zeros(7)}, tmp_path / "w.pth")
    assert loaded(MLP(depth=1), tmp_path / "w.pth")[0]["head.0.weight"].eq(1).all()


def test_python_objects_in_arrays_are_told(tmp_path):
    np.save(tmp_path / "list.npy", np.array([{"a": 1}], dtype=object))
    assert "is made of Python objects, which are not opened; save plain numbers by numpy.savez." in refused(
        LeNet(), tmp_path / "list.npy"
    )


def test_the_names_that_pytorch_trusts_are_as_before(tmp_path):
    before = set(torch.serialization.get_safe_globals())
    torch.save({"state_dict": numbers(trained(LeNet())), "best": np.float64(1)}, tmp_path / "w.pth")
    loaded(LeNet(), tmp_path / "w.pth")
    assert set(torch.serialization.get_safe_globals()) == before


# Colours


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("of_pictures", [1, 3])
@pytest.mark.parametrize(
    "options", [LeNet(), MLP(depth=2, width=8), ResNet(depth=8, batch_norm=BatchNorm.TRAIN)], ids=lambda o: o.name
)
def test_pictures_come_in_the_colours_of_the_weights(tmp_path, options, channels, of_pictures):
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, of_pictures), np.uint8)
    np.savez(tmp_path / "own.npz", images=images, labels=[1, 2, 3])
    torch.save(numbers(trained(options, shape=(channels, 32, 32), classes=7)), tmp_path / "w.pth")
    own = Npz(str(tmp_path / "own.npz"))
    a_round = simulate_round(
        Experiment(dataset=own, network=options, trained=True, weights=str(tmp_path / "w.pth"), batch_size=2)
    )
    pixels = torch.from_numpy(images[:2]).permute(0, 3, 1, 2) / 255
    red, green, blue = pixels.unbind(1) if of_pictures == 3 else [pixels[:, 0]] * 3
    grey = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]
    wanted = pixels if channels == of_pictures else grey.expand(-1, channels, -1, -1)
    assert torch.allclose(a_round.batch.images, wanted, atol=1e-6)
    assert a_round.line_up.shape == (8, channels, 32, 32)
    assert a_round.observation.classes == 7
    assert any("The weights take" in note for note in a_round.batch.notes) == (channels != of_pictures)


def test_fresh_weights_take_the_pictures_as_they_are(tmp_path):
    np.savez(tmp_path / "own.npz", images=np.zeros((2, 32, 32), np.uint8), labels=[0, 1])
    a_round = simulate_round(Experiment(dataset=Npz(str(tmp_path / "own.npz")), network=LeNet()))
    assert a_round.batch.image_shape == (1, 32, 32)
