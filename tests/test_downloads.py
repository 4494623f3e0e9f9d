"""Nothing is downloaded that nobody asked for; what was asked for and fails ends in a sentence without the library's words."""

import socket
import ssl
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
from typer.testing import CliRunner

from lab.cli import app
from lab.client.checkpoints import imagenet
from lab.client.datasets.published import PublishedSet
from lab.commands.fetching import fetch, fetch_for
from lab.errors import LabError
from lab.experiments.experiment import Experiment
from lab.federated.networks.imagenet_resnet import ImageNetResNet
from lab.federated.networks.squeezenet import SqueezeNet
from lab.files.downloads import fetched
from lab.options.catalogue import entries

SETS = [name for name, entry in entries("dataset").items() if issubclass(entry, PublishedSet) and entry.is_download]
WEIGHTS = ["squeezenet", *(f"imagenet_resnet:depth={depth}" for depth in (18, 34, 50, 101, 152))]
RAW = ("urlopen", "errno", "Errno", "urllib", "Traceback", "HTTP Error", "<", "SSL", "getaddrinfo")
FAILURES = {
    "no network": URLError(socket.gaierror(-2, "Name or service not known")),
    "refused": URLError(ConnectionRefusedError(111, "Connection refused")),
    "certificate": URLError(ssl.SSLCertVerificationError(1, "certificate verify failed")),
    "slow": TimeoutError("timed out"),
    "cut": ConnectionResetError(104, "Connection reset by peer"),
    "gone": HTTPError("https://x", 404, "Not Found", Message(), None),
    "damaged": RuntimeError('invalid hash value (expected "f37072fd", got "00")'),
    "short": EOFError("Compressed file ended before the end-of-stream marker was reached"),
    "full": OSError(28, "No space left on device", "/somewhere/file"),
    "many mirrors": RuntimeError("Error downloading x:\nTried https://a, got:\n<urlopen error [Errno -2] Name>\n"),
}


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine without data sets and weights, on which every way to the network counts its callers."""
    asked = []

    def refuse(*arguments, **options):
        asked.append(arguments)
        raise URLError(socket.gaierror(-2, "Name or service not known"))

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GRADLAB_DATA", "")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for way in ("urllib.request.urlopen", "torch.hub.urlopen", "socket.create_connection"):
        monkeypatch.setattr(way, refuse)
    return asked


def told(*words):
    result = CliRunner().invoke(app, [*words])
    assert "Traceback" not in result.output
    return result.exit_code, result.stderr.strip()


@pytest.mark.parametrize(
    "words", [("--dataset", name) for name in SETS] + [("--trained", "--network", name) for name in WEIGHTS]
)
def test_a_run_asks_nobody_and_says_what_is_needed_first(bare, words):
    status, sentence = told("run", *words)
    assert status == 2
    assert bare == []
    assert "not on this machine, and nothing is downloaded unasked; download once (" in sentence
    assert f"by: gradlab fetch {words[-1]}, or " in sentence


@pytest.mark.parametrize("name", [*SETS, *WEIGHTS])
@pytest.mark.parametrize("way", ["fetch", "run"])
def test_what_is_asked_for_and_cannot_be_had_is_said_in_plain_words(bare, way, name):
    what = ("--dataset", name) if name in SETS else ("--trained", "--network", name)
    status, sentence = told("fetch", name) if way == "fetch" else told("run", "--download", *what)
    assert status == 2
    assert bare
    assert "cannot be downloaded to" in sentence
    assert sentence.count("\n") == 0
    assert not any(word in sentence for word in RAW)


def test_a_training_asks_by_the_folder_that_it_is_given(bare, tmp_path):
    status, sentence = told("train", "mlp", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"))
    assert status == 2
    assert bare
    assert sentence.startswith(f"CIFAR10 cannot be downloaded to {tmp_path / 'data'}: ")
    assert not any(word in sentence for word in RAW)


@pytest.mark.parametrize("kind", FAILURES)
def test_every_failure_of_a_download_is_one_sentence(kind, tmp_path):
    def fail():
        print("a progress bar")
        raise FAILURES[kind]

    with pytest.raises(LabError) as caught:
        fetched(fail, "The thing", tmp_path / "deep" / "folder")
    text = str(caught.value)
    assert text.startswith(f"The thing cannot be downloaded to {tmp_path / 'deep' / 'folder'}: ")
    assert "\n" not in text
    assert not any(word in text for word in RAW)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match=r"the folder cannot be written \(.*\); try again"):
        fetched(lambda: None, "The thing", tmp_path / "file" / "folder")


def test_fetching_what_is_not_published(bare):
    status, sentence = told("fetch", "gallery")
    assert status == 2
    assert sentence.startswith("There is no download called 'gallery'.")
    assert all(name in sentence for name in (*SETS, "squeezenet", "imagenet_resnet"))
    assert told("fetch", "cifar11")[1].startswith("There is no download called 'cifar11'. Did you mean 'cifar10'?")
    assert bare == []


def test_what_is_there_is_not_fetched_again(bare, tmp_path):
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").touch()
    assert fetch("mnist", tmp_path) == f"MNIST is in {tmp_path}."
    file = imagenet.cache_path(SqueezeNet())
    file.parent.mkdir(parents=True)
    file.touch()
    assert fetch("squeezenet", None) == f"The published weights are in {file}."
    assert bare == []


def test_an_experiment_fetches_what_it_needs_and_no_more(bare, monkeypatch):
    fetched_ones = []
    monkeypatch.setattr(imagenet, "fetch", fetched_ones.append)
    fetch_for(Experiment(network=ImageNetResNet(depth=34), trained=True))
    fetch_for(Experiment(network=ImageNetResNet(depth=18)))
    fetch_for(Experiment(network=ImageNetResNet(depth=50), trained=True, weights="own.pth"))
    fetch_for(Experiment())
    assert fetched_ones == [ImageNetResNet(depth=34)]
    assert bare == []


def test_the_page_has_no_way_to_download():
    """Only the command line imports what downloads."""
    root = Path(__file__).parent.parent
    code = "\n".join(
        path.read_text()
        for folder in ("widgets", "lab/studies", "lab/studies/sweeps")
        for path in (root / folder).rglob("*.py")
    )
    assert not any(word in code for word in ("lab.files.downloads", "commands.fetching", ".fetch(", "download=True"))
