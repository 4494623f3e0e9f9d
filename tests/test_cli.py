"""The command ``gradlab`` as a user types it."""

import json
import os
import signal
import subprocess
import sys
from typing import get_origin

import pytest
from PIL import Image
from typer.testing import CliRunner

from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.optimisers.adam import Adam
from lab.attacks.matching.priors.l2 import L2
from lab.attacks.matching.priors.total_variation import TotalVariation
from lab.cli import app
from lab.commands import listing, running
from lab.commands.running import Bar
from lab.errors import TOO_LARGE, LabError
from lab.experiments.experiment import Experiment
from lab.experiments.failures import FAILURES
from lab.experiments.presets import PRESETS
from lab.federated.networks.base import Activation, Network
from lab.federated.networks.resnet import ResNet
from lab.federated.protocols.fedsgd import FedSGD
from lab.options import catalogue
from lab.options.fields import fields_of, may_be_none
from lab.options.plain import to_plain
from lab.options.text import parse_entry

TINY = ("--network", "mlp:depth=2,width=8", "--iterations", "3")
FILES = ["comparison.png", "film.webp", "history.csv", "original.png", "reconstruction.png", "replay.gif", "result.json"]


def gradlab(*words, status=0):
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == status, result.output
    return result


def ran(folder, *words, status=0):
    """What ``result.json`` says after a run."""
    gradlab("run", *words, "--out", folder, status=status)
    return json.loads((folder / "result.json").read_text())


def test_a_run_tells_its_outcome_and_writes_its_files(tmp_path):
    result = gradlab("run", *TINY, "--out", tmp_path)
    assert "All iterations are done." in result.stdout
    assert "of 8" in result.stdout
    assert "a grey picture gets" in result.stdout
    assert "3 iterations in" in result.stdout
    assert "100%" in result.stderr
    assert "Verdict" not in result.stderr
    assert sorted(os.listdir(tmp_path)) == FILES


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gradlab("run", *TINY)
    assert os.listdir(tmp_path) == []


def test_the_result_holds_what_a_program_needs(tmp_path):
    data = ran(tmp_path, *TINY, "--batch", "2", "--labels", "inferred", "--device", "cpu")
    assert data["outcome"] == "BUDGET_SPENT"
    assert data["verdict"] in ("Recognisable", "Taking shape", "Not recognisable")
    assert data["device"].startswith("CPU")
    assert data["iterations"] == 3
    assert data["iterations_per_second"] == pytest.approx(3 / data["seconds"])
    assert set(data["controls"]) == {"grey_psnr_db", "mean_psnr_db"}
    assert len(data["scores"]) == 2
    for picture in data["scores"]:
        assert {"psnr_db", "ssim", "line_up_rank", "line_up_size", "label", "label_recovered"} <= set(picture)
        assert 1 <= picture["line_up_rank"] <= picture["line_up_size"] == 8
    assert Experiment.from_plain(data["experiment"]).to_plain() == data["experiment"]
    assert data["experiment"]["labels"] == "inferred"


def test_the_algebra_on_the_command_line(tmp_path):
    data = ran(tmp_path, "--network", "mlp:depth=3,width=32", "--attack", "analytic")
    assert data["outcome"] == "EXACT"
    assert data["max_abs_error"] < 1e-4
    assert data["scores"][0]["line_up_rank"] == 1


REPEATED = [
    (*TINY, "--seed", "5", "--restarts", "2"),
    ("--iterations", "3", "--local-steps", "2", "--local-batch-size", "1", "--batch", "2", "--seed", "3"),
    (*TINY, "--labels", "joint", "--defence", "gaussian_noise:strength=0.1", "--defence", "pruning:strength=0.5"),
    (*TINY, "--seconds", "1e-9"),
]


@pytest.mark.parametrize("words", REPEATED)
def test_feeding_a_result_back_reproduces_the_run_bit_for_bit(tmp_path, words):
    first = ran(tmp_path / "first", *words)
    again = ran(tmp_path / "again", "--experiment", tmp_path / "first" / "result.json")
    timed = ("seconds", "iterations_per_second")
    assert {key: value for key, value in first.items() if key not in timed} == {
        key: value for key, value in again.items() if key not in timed
    }
    for name in ("reconstruction.png", "comparison.png", "replay.gif", "film.webp"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_own_pictures_travel_inside_the_result(tmp_path):
    colours = {"red": 4, "blue": 9}
    for colour in colours:
        Image.new("RGB", (50, 40), colour).save(tmp_path / f"{colour}.png")
    words = [word for colour, label in colours.items() for word in ("--image", tmp_path / f"{colour}.png", "--label", label)]
    first = ran(tmp_path / "first", *TINY, *words)
    assert [picture["label"] for picture in first["scores"]] == [4, 9]
    for colour in colours:
        (tmp_path / f"{colour}.png").unlink()
    again = ran(tmp_path / "again", "--experiment", tmp_path / "first" / "result.json")
    assert again["scores"] == first["scores"]


def test_flags_win_over_a_preset_and_over_a_file(tmp_path):
    data = ran(tmp_path, "--preset", "geiping2020", "--iterations", "2", "--tv", "0.5", "--seed", "9")
    attack = data["experiment"]["attack"]
    assert data["experiment"]["network"]["name"] == "lenet"
    assert attack["iterations"] == 2
    assert attack["priors"] == [{"name": "total_variation", "weight": 0.5, "relative": False, "fade": 1.0}]
    words = ("--experiment", tmp_path / "result.json", "--network", "mlp", "--tv", "0", "--distance", "l1")
    over = ran(tmp_path / "over", *words)
    assert over["experiment"]["network"]["name"] == "mlp"
    assert over["experiment"]["attack"]["priors"] == []
    assert over["experiment"]["attack"]["distance"]["name"] == "l1"
    assert over["experiment"]["seed"] == 9


def test_a_protocol_is_named_with_its_optimiser(tmp_path):
    words = (*TINY, "--protocol", "fedavg:optimiser=sgd(momentum=0.9),learning_rate=0.01", "--local-steps", "2")
    protocol = ran(tmp_path, *words)["experiment"]["protocol"]
    assert protocol["optimiser"] == {"name": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}
    assert (protocol["local_steps"], protocol["learning_rate"]) == (2, 0.01)


def test_local_steps_choose_the_protocol(tmp_path):
    words = (*TINY, "--local-steps", "2", "--local-lr", "0.01", "--local-batch-size", "1")
    data = ran(tmp_path, *words)
    chosen = {"name": "fedavg", "local_steps": 2, "batch_size": 1, "learning_rate": 0.01}
    assert data["experiment"]["protocol"].items() >= chosen.items()
    back = ran(tmp_path / "back", "--experiment", tmp_path / "result.json", "--local-steps", "0")
    assert back["experiment"]["protocol"].keys() == to_plain(FedSGD()).keys()
    assert back["experiment"]["protocol"]["name"] == "fedsgd"


def test_a_time_limit_stops_with_what_was_found(tmp_path):
    data = ran(tmp_path, "--network", "mlp:depth=2,width=8", "--iterations", "100000", "--seconds", "1e-9")
    assert data["outcome"] == "STOPPED"
    assert data["stopped_after"] == data["iterations"] == 0


def interrupting(presses, at):
    """A progress bar during which Ctrl-C is pressed."""

    def show(self, state, seconds):
        if state.iteration == at:
            for _ in range(presses):
                signal.raise_signal(signal.SIGINT)

    return show


def test_ctrl_c_writes_what_was_found_and_exits_with_130(tmp_path, monkeypatch):
    monkeypatch.setattr(Bar, "show", interrupting(1, at=5))
    data = ran(tmp_path, "--network", "mlp:depth=2,width=8", status=130)
    assert data["outcome"] == "STOPPED"
    assert data["iterations"] == 5
    assert sorted(os.listdir(tmp_path)) == FILES


def test_ctrl_c_under_restarts_shows_the_best_so_far_by_distance(tmp_path, monkeypatch):
    monkeypatch.setattr(Bar, "show", interrupting(1, at=21))
    words = ("--network", "mlp:depth=2,width=8", "--restarts", "2", "--iterations", "20")
    data = ran(tmp_path, *words, status=130)
    assert data["best_restart"] == 0
    assert data["iterations"] == 21


def test_a_second_ctrl_c_ends_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(Bar, "show", interrupting(2, at=1))
    gradlab("run", "--network", "mlp:depth=2,width=8", "--out", tmp_path, status=130)
    assert os.listdir(tmp_path) == []


def test_sigint_to_the_real_process(tmp_path):
    words = ["run", "--network", "mlp:depth=2,width=8", "--iterations", "100000", "--out", str(tmp_path)]
    child = subprocess.Popen([sys.executable, "-m", "lab.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stderr is not None
    seen = b""
    while b"objective" not in seen:
        seen += child.stderr.read1(4096) or pytest.fail(f"the run ended by itself: {seen.decode()}")
    child.send_signal(signal.SIGINT)
    stdout, _ = child.communicate()
    assert child.returncode == 130
    assert b"Stopped before the budget was spent." in stdout
    assert json.loads((tmp_path / "result.json").read_text())["outcome"] == "STOPPED"


def test_a_bug_of_the_lab_is_one_sentence_and_a_traceback_only_on_request(monkeypatch):
    def broken(*_):
        raise RuntimeError("the roof fell in")

    monkeypatch.setattr(running, "simulate_round", broken)
    quiet = gradlab("run", status=1).stderr.strip()
    assert quiet == (
        "gradlab failed in a way that it should not (RuntimeError: the roof fell in). Run it again as "
        "'gradlab --debug ...' and report what it prints."
    )
    assert "Traceback" in gradlab("--debug", "run", status=1).stderr


def test_memory_that_the_system_refuses_is_no_bug_of_the_lab(monkeypatch):
    def refused(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 40000000000 bytes.")

    monkeypatch.setattr(running, "simulate_round", refused)
    assert gradlab("run", status=2).stderr.strip() == TOO_LARGE


def test_the_list_names_every_entry_with_its_options():
    found = json.loads(gradlab("list", "--json").stdout)
    assert set(found) == {*catalogue.FOLDERS, "preset", "failure"}
    for kind in catalogue.FOLDERS:
        assert [entry["name"] for entry in found[kind]] == list(catalogue.entries(kind))
    assert [preset["name"] for preset in found["preset"]] == list(PRESETS)
    assert [failure["name"] for failure in found["failure"]] == list(FAILURES)
    depth = next(option for entry in found["network"] if entry["name"] == "mlp" for option in entry["options"])
    assert depth["name"] == "depth"
    assert (depth["low"], depth["high"], depth["default"], depth["type"]) == (1, 8, 3, "whole number")


def test_the_list_of_one_kind_for_people():
    text = gradlab("list", "network").stdout
    assert "widen=1: channels in units of 16 (whole number from 1 to 10)" in text
    assert "activation=relu: nonlinearity between the layers (relu, leaky_relu" in text
    assert "expected verdict" in gradlab("list", "preset").stdout
    assert "mended by: take 200 steps" in gradlab("list", "failure").stdout
    assert "priors=total_variation: what a natural picture looks like (list of prior)" in gradlab("list", "attack").stdout


def test_an_unknown_kind_or_command_suggests_the_nearest():
    assert "Did you mean 'network'?" in gradlab("list", "netwrk", status=2).stderr
    assert "Did you mean 'list'?" in gradlab("lits", status=2).stderr
    assert set(listing.KINDS) == {*catalogue.FOLDERS, "preset", "failure"}


def test_entries_are_parsed_from_their_fields():
    assert parse_entry(Network, "resnet:depth=32,widen=10, activation=silu") == ResNet(32, 10, Activation.SILU)
    nested = parse_entry(GradientMatching, "gradient_matching:optimiser=adam(step=0.5),priors=l2(weight=2)+total_variation")
    assert isinstance(nested, GradientMatching)
    assert nested.optimiser == Adam(step=0.5)
    assert nested.priors == (L2(weight=2.0), TotalVariation())
    assert parse_entry(GradientMatching, "gradient_matching:priors=none") == GradientMatching(priors=())


def lists_and_optional_fields():
    """Of every entry of every catalogue, which may be left out by the word none."""
    for kind in catalogue.FOLDERS:
        for name, entry in catalogue.entries(kind).items():
            for field in fields_of(entry):
                if may_be_none(field.type) or get_origin(field.type) is tuple:
                    yield kind, name, field.name


def test_what_is_left_empty_is_refused_and_never_taken_for_none():
    found = list(lists_and_optional_fields())
    assert ("dataset", "wonderland", "own") in found
    for kind, name, field in found:
        for empty in ("", " "):
            with pytest.raises(LabError, match=f"^{name}: {field} is empty; write .*, or none"):
                parse_entry(catalogue.find(kind, name), f"{name}:{field}={empty}")


def test_a_comma_in_a_path_belongs_to_the_path():
    from lab.client.datasets.base import Dataset
    from lab.client.datasets.folder import Folder

    assert parse_entry(Dataset, "folder:path=/my,own (new)/pictures,first=2") == Folder("/my,own (new)/pictures", 2)
