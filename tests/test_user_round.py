"""A model and an update of one's own on the command line: attacked from files as people keep them, or refused in a sentence."""

import json
import math
import pickle
import re
import struct
import sys
import zipfile

import numpy as np
import pytest
import torch
from rounds import smooth_batch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional
from typer.testing import CliRunner

from lab.capture import capturing
from lab.cli import app
from lab.experiments.captured import observation_of
from lab.federated import captures
from lab.federated.local_optimisers.adam import LocalAdam
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.protocols.fedavg import FedAvg
from lab.modalities.images.codec import encode_png
from lab.options.plain import to_plain
from lab.randomness import stream

SIZE = 16
NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.body, self.out = nn.Conv2d(3, 8, 3, 2, 1), nn.Linear(512, classes)

    def forward(self, images):
        return self.out(self.body(images).sigmoid().flatten(1))

def build():
    return Net()

ready, number = Net(), 3

class Needy(Net):
    def __init__(self, classes):
        super().__init__(classes)

def broken():
    raise RuntimeError("no GPU here")
"""


class Here(nn.Module):
    """What the file above writes down."""

    def __init__(self):
        super().__init__()
        self.body, self.out = nn.Conv2d(3, 8, 3, 2, 1), nn.Linear(512, 10)

    def forward(self, images):
        return self.out(self.body(images).sigmoid().flatten(1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The model's file, its weights, and what a client sent in every form."""
    place = tmp_path_factory.mktemp("own")
    (place / "net.py").write_text(NET)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = Here()
    batch = smooth_batch(size=SIZE)
    (place / "truth.png").write_bytes(encode_png(batch.images[0]))
    functional.cross_entropy(model(batch.images), batch.labels).backward()
    torch.save({"state_dict": model.state_dict(), "epoch": np.float64(3)}, place / "weights.pt")
    write(place, "update", {name: weight.grad for name, weight in model.named_parameters()})
    return place


def write(place, name, update):
    """The same numbers in each form."""
    arrays = {key: tensor.numpy() for key, tensor in update.items()}
    torch.save(update, place / f"{name}.pt")
    torch.save({"gradients": update}, place / f"{name}-wrapped.pt")
    torch.save(list(update.values()), place / f"{name}-list.pt")
    torch.save({f"module.{key}": tensor for key, tensor in update.items()}, place / f"{name}-parallel.pth")
    save_file({key: tensor.contiguous() for key, tensor in update.items()}, place / f"{name}.safetensors")
    np.savez(place / f"{name}.npz", **arrays)
    np.savez_compressed(place / f"{name}-unnamed.npz", *arrays.values())


FORMS = (".pt", "-wrapped.pt", "-list.pt", "-parallel.pth", ".safetensors", ".npz", "-unnamed.npz")


def words(folder, update="update.pt", model="net.py:Net", **more):
    given = {"model": folder / model if ".py" in model else model, "update": folder / update}
    given |= {"weights": folder / "weights.pt", "like": f"3x{SIZE}x{SIZE}", "iterations": 5} | more
    return ["run", *(word for flag, value in given.items() if value is not None for word in (f"--{flag}", str(value)))]


def ran(*arguments):
    done = CliRunner().invoke(app, [str(word) for word in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments):
    """The one sentence."""
    done = CliRunner().invoke(app, [str(word) for word in arguments])
    told = done.stderr.strip()
    assert done.exit_code == 2, done.output
    assert not done.stdout
    assert "Traceback" not in told
    assert "failed in a way that it should not" not in told
    assert "\n" not in told
    assert told.endswith((".", "?"))
    return told


@pytest.mark.parametrize("form", FORMS)
def test_an_update_is_read_from_every_form(folder, form, tmp_path):
    ran(*words(folder, f"update{form}", out=tmp_path))
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["scores"] is None
    assert result["residual"] < 0.1
    assert result["labels"] == [0]
    assert (tmp_path / "reconstruction.png").exists()


@pytest.mark.parametrize("model", ["net.py:Net", "net.py:build", "net.py:ready"])
def test_a_class_a_function_and_a_module_are_models(folder, model):
    told = ran(*words(folder, model=model, truth=folder / "truth.png"))
    assert "Residual: " in told
    assert "Verdict: Recognisable" in told


def test_without_a_truth_there_is_evidence_and_no_score(folder):
    told = ran(*words(folder))
    assert all(part in told for part in ("Residual: ", "Uniqueness: ", "Realism: "))
    assert not any(part in told for part in ("Verdict", "PSNR", "SSIM"))


def test_what_a_file_prints_is_left_out_and_said(folder):
    (folder / "loud.py").write_text(f"print('loading ...')\nprint('done')\n{NET}")
    told = ran(*words(folder, model="loud.py:Net"))
    assert told.count("loading ...") == 1
    assert "loud.py printed 'loading ...' and 1 lines more while it was imported" in told


def test_a_module_beside_the_file_is_found_and_the_path_is_as_before(folder):
    before = list(sys.path)
    (folder / "layers_of_mine.py").write_text(NET)
    (folder / "beside.py").write_text("from layers_of_mine import Net")
    ran(*words(folder, model="beside.py:Net"))
    assert sys.path == before


MODELS = {
    "raises": ("1 / 0", r"cannot be run \(ZeroDivisionError: division by zero\)"),
    "leaves": ("raise SystemExit(3)", r"cannot be run \(SystemExit: 3\)"),
    "is no Python": ("class Net(:", r"cannot be run \(SyntaxError: "),
    "imports what is not there": ("import nowhere_at_all", r"cannot be run \(ModuleNotFoundError: No module named"),
    "prints and raises": ("print('x')\nraise ValueError('two\\nlines')", r"cannot be run \(ValueError: two\)"),
    "has nothing": ("", r"has no Net, nor any torch\.nn\.Module"),
    "has another name": (NET.replace("Net", "Nett"), r"There is no model in .* called 'Net'\. Did you mean 'Nett'"),
    "makes no logits": (NET.replace("return self.out", "return None #"), r"The model gives a NoneType and not a tensor"),
    "takes other pictures": (NET.replace("Linear(512", "Linear(99"), r"weights of .* do not fit|for another network"),
    "fails forward": (NET.replace("return self.out(", "return self.nothing("), r"The model cannot take pictures of the shape"),
    "has no parameters": ("from torch import nn\nNet = nn.ReLU", r"has no parameters|for another network"),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_model_file_that_cannot_be_used_is_refused(folder, case, tmp_path):
    text, sentence = MODELS[case]
    file = tmp_path / "own.py"
    file.write_text(text)
    told = refused("run", "--model", f"{file}:Net", *words(folder, model="x")[3:])
    assert re.search(sentence, told), told


NAMES = {
    "nothing.py:Net": "is not there",
    ".:Net": "cannot be run|is not there",
    "net.py": "does not say which model in which file",
    "net.py:": "does not say which model in which file",
    "net.py:Net()": "does not say which model in which file",
    "net.py:number": "is of the type int, and no model",
    "net.py:nn": "is of the type module, and no model",
    "net.py:Needy": r"cannot be run \(TypeError",
    "net.py:broken": r"cannot be run \(RuntimeError: no GPU here\)",
    "no_such_package.nets:Net": "cannot be run .ModuleNotFoundError",
    "json:loads": r"cannot be run \(TypeError",
    "math:pi": "is of the type float, and no model",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_to_no_model_is_refused(folder, name):
    assert re.search(NAMES[name], refused(*words(folder, model=name)))


def each(change):
    return lambda update: {name: change(tensor.clone()) for name, tensor in update.items()}


def first(value):
    def spoilt(update):
        found = {name: tensor.clone() for name, tensor in update.items()}
        found["body.weight"].view(-1)[0] = value
        return found

    return spoilt


UPDATES = {
    "NaN": (first(math.nan), "are NaN or infinite"),
    "infinity": (first(-math.inf), "are NaN or infinite"),
    "a spare tensor": (lambda update: update | {"extra.weight": torch.ones(3)}, "which the model does not have"),
    "another model's names": (
        lambda update: {f"x{name}": tensor for name, tensor in update.items()},
        "names none of|does not have",
    ),
    "another model's shapes": (each(lambda tensor: tensor[..., :-1].contiguous()), "has the shape"),
    "scalars": (each(lambda tensor: tensor.sum()), "has the shape"),
    "one tensor": (lambda update: {"out.weight": update["out.weight"][None]}, "has the shape"),
}


@pytest.mark.parametrize("case", UPDATES)
@pytest.mark.parametrize("form", [".pt", ".safetensors", ".npz"])
def test_an_update_that_is_not_this_models_is_refused(folder, case, form, tmp_path):
    change, sentence = UPDATES[case]
    write(tmp_path, "update", change(torch.load(folder / "update.pt", weights_only=True)))
    told = refused(*words(folder, tmp_path / f"update{form}"))
    assert re.search(sentence, told), told


def test_a_missing_tensor_is_said(folder, tmp_path):
    update = torch.load(folder / "update.pt", weights_only=True)
    write(tmp_path, "update", {name: tensor for name, tensor in update.items() if name != "body.bias"})
    assert "The update lacks body.bias" in ran(*words(folder, tmp_path / "update.npz"))


class Evil:
    """What a pickle could do."""

    def __reduce__(self):
        return (sys.exit, (77,))


def declared_safetensors(path):
    """A header that promises 40 GB."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [10**10], "data_offsets": [0, 4 * 10**10]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))


def declared_npz(path):
    with zipfile.ZipFile(path, "w") as archive:
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**10},), }}".ljust(118) + "\n"
        archive.writestr("w.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())


def bomb(path):
    """A PyTorch file in which a little says a lot."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, 2))
        info = zipfile.ZipInfo("archive/data/0")
        archive.writestr(info, b"")
    text = path.read_bytes()
    place = text.rindex(b"PK\x01\x02")
    path.write_bytes(text[: place + 24] + struct.pack("<I", 2**32 - 2) + text[place + 28 :])


FILES = {
    "40 GB in safetensors.safetensors": declared_safetensors,
    "40 GB in npz.npz": declared_npz,
    "40 GB in pt.pt": bomb,
    "code.pt": lambda path: path.write_bytes(pickle.dumps(Evil())),
    "code in zip.pt": lambda path: torch.save({"a": Evil()}, path),
    "text.pt": lambda path: path.write_text("hello"),
    "empty.safetensors": lambda path: path.write_bytes(b""),
    "cut.safetensors": lambda path: (save_file({"w": torch.ones(99)}, path), path.write_bytes(path.read_bytes()[:-9])),
    "folder.pt": lambda path: path.mkdir(),
    "missing.npz": lambda path: None,
    "header of nothing.safetensors": lambda path: path.write_bytes(struct.pack("<Q", 2) + b"{}"),
    "endless header.safetensors": lambda path: path.write_bytes(struct.pack("<Q", 2**62) + b"{}"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("with_model", [True, False])
def test_a_file_that_holds_no_update_is_refused(folder, name, with_model, tmp_path):
    path = tmp_path / name
    FILES[name](path)
    refused(*(words(folder, path) if with_model else ["run", "--update", path]))


FLAGS = {
    "--model net.py:Net": "give --update FILE",
    "--like 3x16x16": "give --update FILE",
    "--update u.pt --preset mlp-exact": "--preset is for a round that the lab simulates",
    "--update u.pt --dataset gallery": "--dataset is for",
    "--update u.pt --defence pruning": "--defence is for",
    "--update u.pt --size 64": "--size is for",
    "--update u.pt --channels 1": "--channels is for",
    "--update u.pt --like 3x16x16": "--like goes with --model",
    "--update u.pt --mean 0.5": "--mean goes with --model",
    "--update u.pt --model a.py:B --network mlp": "--model and --network both say",
    "--update {update} --model {net}:Net": "does not say how large a picture is",
    "--update {update} --model {net}:Net --like 16x16": "is not the shape of a picture",
    "--update {update} --model {net}:Net --like 3x16x16 --mean a": "--mean 'a' is no number",
    "--update {update} --model {net}:Net --like 3x16x16 --mean 1,2": "mean = ",
    "--update {update} --model {net}:Net --like 3x16x16 --std 0": "std = ",
    "--update {update} --model {net}:Net --like 3x16x16 --local-lr 0.1": "--local-lr has no meaning without local steps",
    "--update {update} --model {net}:Net --like 3x16x16 --label 10": "labels from 10 to 10 reach beyond",
    "--update {update} --model {net}:Net --like 3x16x16 --label 1 --batch 2": "There are 1 labels",
    "--update {update} --model {net}:Net --like 3x16x16 --truth nothing.png": "There is no picture file",
    "--update {update} --model {net}:Net --like 3x16x16 --batch 2 --truth nothing.png": "1 pictures were given by --truth",
    "--update {update} --model {net}:Net --like 9x9x99999": "cannot take pictures|too many numbers",
}


@pytest.mark.parametrize("flags", FLAGS)
def test_flags_that_do_not_go_together_are_refused(folder, flags):
    told = refused("run", *flags.format(update=folder / "update.pt", net=folder / "net.py").split())
    assert re.search(FLAGS[flags], told), told


def test_the_protocol_may_be_told_whole(folder):
    told = refused(*words(folder, protocol="fedavg:local_steps=2,optimiser=adamm"))
    assert "Did you mean 'adam'" in told
    sentence = "--local-batch-size has no meaning without local steps"
    assert sentence in refused(*words(folder, **{"local-batch-size": 1}))
    assert sentence not in ran(*words(folder, protocol="fedavg:local_steps=2", **{"local-batch-size": 1}))


@pytest.fixture(scope="module")
def of_the_catalogue(tmp_path_factory):
    """A capture of one picture that needs no model's file, by an optimiser that nobody simulates."""
    options, batch = SmallConvNet(width=4), smooth_batch(size=32)
    model = options.build((3, 32, 32), 10, stream(5, "weights"))
    path = tmp_path_factory.mktemp("catalogue") / "update.safetensors"
    optimiser = torch.optim.RMSprop(model.parameters(), 0.01)
    with capturing(model, path, network=to_plain(options)):
        functional.cross_entropy(model(batch.images), batch.labels).backward()
        optimiser.step()
    return path


TOLD = {
    "--batch 0": "batch_size = 0 is not possible",
    "--batch -1": "batch_size = -1 is not possible",
    "--batch 10001": "batch_size = 10001 is not possible",
    "--label 10": "labels from 10 to 10 reach beyond the model's 10 classes",
    "--label=-1": "labels from -1 to -1 reach beyond the model's 10 classes",
    "--label 1 --batch 2": "There are 1 labels for batch_size = 2",
}


@pytest.mark.parametrize("flags", TOLD)
@pytest.mark.parametrize("door", ["diagnose", "run --update"])
def test_what_is_told_of_a_capture_is_bounded_as_of_a_model(of_the_catalogue, door, flags):
    assert TOLD[flags] in refused(*door.split(), of_the_catalogue, *flags.split())


@pytest.mark.parametrize(("labels", "sentence"), [("known", "KNOWN needs labels"), ("joint --label 1", "would not use them")])
def test_a_source_of_labels_that_cannot_be_is_refused(of_the_catalogue, labels, sentence):
    assert sentence in refused("run", "--update", of_the_catalogue, "--labels", *labels.split())


def test_a_rule_that_is_told_is_not_said_to_be_plain_steps(of_the_catalogue):
    capture = captures.read(of_the_catalogue)
    assert "plain SGD" in observation_of(capture).notes[-1]
    assert not observation_of(capture, protocol=FedAvg(optimiser=LocalAdam())).notes
