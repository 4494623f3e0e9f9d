"""Whatever a user gives that is wrong: one readable sentence on standard error, exit status 2, no traceback."""

import itertools
import json
import math
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.matching.distances.l1 import L1
from lab.cli import app
from lab.commands import running

TINY = ("--network", "mlp:depth=2,width=8", "--iterations", "2")


def refused(*words):
    """The one sentence with which the command refuses."""
    result = CliRunner().invoke(app, ["run", *map(str, words)])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    sentence = result.stderr.strip()
    assert sentence.count("\n") == 0, sentence
    assert "Traceback" not in sentence
    assert sentence.endswith((".", "?"))
    return sentence


def accepted(*words):
    result = CliRunner().invoke(app, ["run", *TINY, *map(str, words)])
    assert result.exit_code == 0, result.output
    return result


def test_a_missing_picture(tmp_path):
    assert refused("--image", tmp_path / "no.png") == f"There is no picture file {tmp_path / 'no.png'}; check the path."


def test_a_folder_instead_of_a_picture(tmp_path):
    assert "is a folder, not a picture" in refused("--image", tmp_path)


def test_an_empty_picture(tmp_path):
    path = tmp_path / "empty.png"
    path.touch()
    assert "is empty (0 bytes)" in refused("--image", path)


def test_a_truncated_picture(tmp_path):
    whole, cut = tmp_path / "whole.png", tmp_path / "cut.png"
    Image.effect_noise((64, 64), 80).save(whole)
    cut.write_bytes(whole.read_bytes()[:1500])
    assert "is damaged or cut short" in refused("--image", cut)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_huge_picture_is_refused_by_its_header(tmp_path):
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    path = tmp_path / "huge.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))))
    assert "50 million allowed" in refused("--image", path)


def test_a_file_that_is_no_picture(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("dear diary")
    assert "is not a picture that can be read" in refused("--image", path)


def rotated(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20), "red").save(path, exif=exif)


ODD_PICTURES = {
    "alpha.png": lambda path: Image.new("RGBA", (20, 20), (200, 10, 10, 100)).save(path),
    "deep.png": lambda path: Image.fromarray(np.full((20, 20), 40_000, np.uint16)).save(path),
    "grey.png": lambda path: Image.new("L", (20, 30), 90).save(path),
    "rotated.jpg": rotated,
}


@pytest.mark.parametrize("name", ODD_PICTURES)
def test_odd_pictures_are_handled(tmp_path, name):
    ODD_PICTURES[name](tmp_path / name)
    accepted("--image", tmp_path / name)


UNKNOWN_NAMES = [
    (("--network", "lenett"), "Did you mean 'lenet'?"),
    (("--network", "resnet:dept=20"), "no option of resnet called 'dept'. Did you mean 'depth'?"),
    (("--network", "lenet:activation=sigmoit"), "Did you mean 'sigmoid'?"),
    (("--distance", "cosin"), "Did you mean 'cosine'?"),
    (("--attack", "analytics"), "Did you mean 'analytic'?"),
    (("--attack", "gradient_matching:priors=total_variaton"), "Did you mean 'total_variation'?"),
    (("--dataset", "galery"), "Did you mean 'gallery'?"),
    (("--defence", "prunning"), "Did you mean 'pruning'?"),
    (("--preset", "geiping"), "Did you mean 'geiping2020'?"),
    (("--labels", "knwon"), "Did you mean 'known'?"),
    (("--device", "cdua"), "Did you mean 'cuda'?"),
    (("--iteration", "3"), "--iterations"),
]


@pytest.mark.parametrize(("words", "hint"), UNKNOWN_NAMES)
def test_unknown_names_suggest_the_nearest(words, hint):
    assert hint in refused(*words)


OUT_OF_BOUNDS = [
    (("--iterations", "0"), "iterations = 0 is out of range; give a value from 1 to 100000 steps."),
    (("--restarts", "101"), "restarts = 101 is out of range; give a value from 1 to 100."),
    (("--batch", "0"), "batch_size = 0 is out of range; give a value from 1 to 100 pictures."),
    (("--seed", "-1"), "seed = -1 is out of range"),
    (("--tv", "-0.5"), "weight = -0.5 is out of range; give a value from 0 to 100."),
    (("--tv", "nan"), "weight = nan is out of range"),
    (("--local-steps", "-3"), "local_steps = -3 is out of range; give a value from 1 to 1000 steps."),
    (("--local-steps", "2", "--local-lr", "7"), "learning_rate = 7 is out of range; give a value from 1e-06 to 1."),
    (("--local-steps", "2", "--local-batch-size", "101"), "batch_size = 101 is out of range"),
    (("--seconds", "0"), "--seconds 0 is out of range; give a number of seconds above 0."),
    (("--seconds", "nan"), "--seconds nan is out of range"),
    (("--network", "mlp:depth=9"), "mlp: depth = 9 is out of range; give a value from 1 to 8."),
    (("--network", "resnet:depth=21"), "resnet: depth = 21 is not possible; choose one of: 8, 14, 20"),
    (("--network", "mlp:depth=two"), "mlp: depth = 'two' must be a whole number."),
    (("--network", "mlp:bias=perhaps"), "mlp: bias = 'perhaps' must be true or false."),
    (("--network", "mlp:depth"), "write NAME:option=value,option=value."),
    (("--attack", "gradient_matching:optimiser=adam(step=2"), "has a bracket that does not close"),
    (("--iterations", "many"), "'many' is not a whole number; give one such as 200."),
    (("--tv", "some"), "'some' is not a number; give one such as 0.1."),
]


@pytest.mark.parametrize(("words", "sentence"), OUT_OF_BOUNDS)
def test_values_out_of_bounds_or_of_the_wrong_type(words, sentence):
    assert sentence in refused(*words)


CONTRADICTIONS = [
    (("--attack", "analytic", "--distance", "cosine"), "The attack 'analytic' has no distance"),
    (("--attack", "analytic", "--iterations", "5"), "The attack 'analytic' has no iterations"),
    (("--attack", "analytic", "--tv", "0.1"), "The attack 'analytic' has no total variation"),
    (("--local-lr", "0.1"), "--local-lr has no meaning without local steps"),
    (("--local-steps", "0", "--local-batch-size", "2"), "--local-batch-size has no meaning without local steps"),
    (("--preset", "default", "--experiment", "x.json"), "give one of the two"),
    (("--label", "3"), "give --image PATH as well"),
    (("--batch", "100"), "The gallery holds"),
]


@pytest.mark.parametrize(("words", "sentence"), CONTRADICTIONS)
def test_options_that_contradict_one_another(words, sentence):
    assert sentence in refused(*words)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.effect_noise((32, 32), 60).save(path)
    return path


def test_a_label_out_of_range(picture):
    sentence = refused("--image", picture, "--label", "10")
    assert sentence == "inline: the label 10 is out of range; give a class number from 0 to 9."
    assert "the label -1 is out of range" in refused("--image", picture, "--label", "-1")


def test_labels_and_pictures_must_be_equally_many(picture):
    sentence = refused("--image", picture, "--image", picture, "--label", "1")
    assert sentence == "2 pictures and 1 labels were given; give one --label for each --image, or none at all."


def test_own_pictures_contradict_another_source_or_batch(picture):
    assert "give one of the two" in refused("--image", picture, "--dataset", "gallery")
    assert "--batch 3 does not fit 1 pictures" in refused("--image", picture, "--batch", "3")


EXPERIMENTS = [
    ('{"networ": {"name": "mlp"}}', "no option of Experiment called 'networ'. Did you mean 'network'?"),
    ('{"network": {"name": "mlp", "dept": 3}}', "Did you mean 'depth'?"),
    ('{"network": {"name": "mpl"}}', "Did you mean 'mlp'?"),
    ('{"network": "mlp"}', "must be an object in braces"),
    ('{"network": {"depth": 3}}', "has no name"),
    ('{"network": {"name": "mlp", "depth": "3"}}', "mlp: depth = '3' must be a whole number."),
    ('{"seed": 1.5}', "seed = 1.5 must be a whole number."),
    ('{"seed": true}', "seed = True must be a whole number."),
    ('{"trained": "yes"}', "trained = 'yes' must be true or false."),
    ('{"defences": {"name": "pruning"}}', "must be a list."),
    ('{"batch_size": 101}', "batch_size = 101 is out of range"),
    ("[1, 2]", "must be an object in braces"),
    ('{"seed": 1', "is not valid JSON (line 1"),
    ("", "is not valid JSON (line 1"),
    ('{"experiment": {}, "stopped_after": "soon"}', "stopped_after = 'soon'"),
]


@pytest.mark.parametrize(("text", "sentence"), EXPERIMENTS)
def test_experiment_files_with_unknown_keys_or_wrong_types(tmp_path, text, sentence):
    path = tmp_path / "experiment.json"
    path.write_text(text)
    assert sentence in refused("--experiment", path)


def test_experiment_files_that_cannot_be_read(tmp_path):
    assert "There is no experiment file" in refused("--experiment", tmp_path / "no.json")
    assert "cannot be read" in refused("--experiment", tmp_path)
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refused("--experiment", binary)


def test_an_output_folder_that_cannot_be_written_is_refused_before_the_attack(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "simulate_round", lambda *_: pytest.fail("the attack began"))
    occupied = tmp_path / "file"
    occupied.touch()
    for folder in (occupied, occupied / "below"):
        assert f"The output folder {folder} cannot be written" in refused(*TINY, "--out", folder)


def test_a_bias_is_missing_for_the_algebra(tmp_path):
    words = ["run", "--network", "mlp:depth=2,width=8,bias=false", "--attack", "analytic", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0
    assert ClosedFormOutcome.UP_TO_SCALE.value in result.stdout
    assert json.loads((tmp_path / "result.json").read_text())["outcome"] == "UP_TO_SCALE"


def test_numbers_that_stop_being_finite_end_the_attack_and_keep_the_best_picture(tmp_path, monkeypatch):
    honest, calls = L1.__call__, itertools.count()

    def failing(self, candidate, shared):
        return honest(self, candidate, shared) * (1.0 if next(calls) < 4 else math.nan)

    monkeypatch.setattr(L1, "__call__", failing)
    result = accepted("--iterations", "8", "--distance", "l1", "--tv", "0", "--out", tmp_path)
    data = json.loads((tmp_path / "result.json").read_text(), parse_constant=pytest.fail)
    assert data["outcome"] == "NOT_FINITE"
    assert "stopped being a finite number" in result.stdout
    assert data["objective"] is not None
    assert data["scores"][0]["psnr_db"] > data["controls"]["grey_psnr_db"]
