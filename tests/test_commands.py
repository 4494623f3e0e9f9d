"""``gradlab train`` and ``gradlab serve``."""

import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lab import LabError
from lab.cli import app
from lab.client import checkpoints
from lab.commands import benching, child, interruption, serving, training
from lab.federated.networks.mlp import MLP


def gradlab(*words, status=0):
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data set in the form of CIFAR-10's sheets: 5,300 plain squares whose brightness is their class."""
    root = tmp_path_factory.mktemp("cifar10")
    classes = np.arange(6000) % 10
    (root / "train").mkdir()
    for sheet in range(6):
        shades = (25 * classes[1000 * sheet : 1000 * (sheet + 1)]).astype(np.uint8)
        tiles = np.broadcast_to(shades.reshape(25, 1, 40, 1, 1), (25, 32, 40, 32, 3)).reshape(800, 1280, 3)
        Image.fromarray(tiles).save(root / "train" / f"train_{sheet:02d}.png", compress_level=1)
    np.save(root / "train_labels.npy", classes[:5300])
    Image.fromarray(tiles[:320]).save(root / "test_first400.png")
    np.save(root / "test_first400_labels.npy", classes[:400])
    return root


TRAIN = ("train", "mlp:depth=1", "--epochs", "2", "--rate", "0.01")


def test_training_writes_weights_that_a_run_takes(tmp_path, data):
    told = gradlab(*TRAIN, "--data", data, "--out", tmp_path)
    weights = tmp_path / "mlp.safetensors"
    assert "of the held-out pictures are right" in told.stdout
    assert "100%" in told.stderr
    assert f"gradlab run --network mlp:depth=1 --weights {weights}" in told.stdout
    assert checkpoints.classes(MLP(depth=1), str(weights)) == 10
    words = ("run", "--network", "mlp:depth=1", "--weights", weights, "--iterations", "2")
    assert "All iterations are done." in gradlab(*words).stdout
    assert "give one of the two" in gradlab(*words, "--untrained", status=2).stderr


def test_an_interrupted_training_goes_on(tmp_path, data, monkeypatch):
    def press(bar, progress):
        if progress.epoch == 1:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(training, "_show", press)
        stopped = gradlab(*TRAIN, "--data", data, "--out", tmp_path, status=130)
    assert stopped.stdout.strip() == "Stopped after 1 finished epochs; the same command goes on from there."
    seen = []
    monkeypatch.setattr(training, "_show", lambda bar, progress: seen.append(progress.epoch))
    gradlab(*TRAIN, "--data", data, "--out", tmp_path)
    assert min(seen) == 1


WRONG = [
    (("train", "mpl", "--data", "x"), "Did you mean 'mlp'?"),
    (("train", "mlp"), "lies in a folder; name it by --data, and it is downloaded to it where it is not."),
    (("train", "mlp", "--data", "x", "--dataset", "gallery"), "has no training part; choose one of: cifar10"),
    (("train", "mlp", "--data", "x", "--epochs", "0"), "epochs = 0 is out of range; give a value from 1 to 1000."),
    (("serve", "--port", "70000"), "--port 70000 is out of range; give a port from 1 to 65535, such as 8866."),
    (("serve", "--port", "-1"), "--port -1 is out of range"),
    (("serve", "--port", "home"), "'home' is not a whole number"),
]


@pytest.mark.parametrize(("words", "sentence"), WRONG)
def test_wrong_input_is_one_sentence(words, sentence):
    told = gradlab(*words, status=2).stderr.strip()
    assert sentence in told
    assert "\n" not in told


def test_serve_hands_port_and_browser_on_and_returns_the_status(monkeypatch):
    commands = []
    monkeypatch.setattr(serving, "run_child", lambda command: commands.append(command) or 5)
    gradlab("serve", "--port", "9000", "--no-browser", status=5)
    gradlab("serve", "--port", "9001", "--no-browser", "--lessons", status=5)
    named = ("--settings", "x.toml", "--host", "a.example", "--host", "b.example", "--listen", "0.0.0.0")
    gradlab("serve", "--port", "9002", "--public", *named, status=5)
    served = [sys.executable, "-m", "widgets.serving", "--port"]
    assert commands == [
        [*served, "9000", "--no-browser"],
        [*served, "9001", "--no-browser", "--lessons"],
        [*served, "9002", "--browser", "--public", *named],
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_child_and_its_status_comes_back(number):
    """Also where Ctrl-C was ignored to begin with, as in a shell's background job."""
    name = signal.Signals(number).name
    child = (
        "import signal, sys\n"
        f"assert signal.getsignal(signal.{name}) is not signal.SIG_IGN\n"
        f"signal.signal(signal.{name}, lambda *_: sys.exit(7))\n"
        "print('ready', flush=True); signal.pause()"
    )
    parent = (
        "import signal, sys; from lab.commands.child import run_child; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        f"sys.exit(run_child([sys.executable, '-c', {child!r}]))"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    process.communicate()
    assert process.returncode == 7


def test_a_child_that_dies_by_a_signal_gives_the_status_of_a_shell():
    assert child.run_child([sys.executable, "-c", "import os; os.kill(os.getpid(), 15)"]) == 128 + 15


def test_the_handler_of_ctrl_c_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with interruption.interruptible():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_bench_runs_the_benchmarks_with_its_arguments(monkeypatch):
    commands = []
    monkeypatch.setattr(benching, "run_child", lambda command: commands.append(command) or 0)
    assert benching.bench(["--quick", "--json", "x.json"]) == 0
    assert commands == [[sys.executable, "-m", "benchmarks", "--quick", "--json", "x.json"]]


def test_bench_says_what_to_install(monkeypatch):
    monkeypatch.setattr(benching, "find_spec", lambda name: None)
    with pytest.raises(LabError, match=r"pip install -e '\.\[bench\]'"):
        benching.bench([])
