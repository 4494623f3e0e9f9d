"""Every study of the folder: it runs at a tiny budget, gives every file, and marks what is only recalled."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from torch import hub

from lab.client import checkpoints
from lab.client.checkpoints.weight_paths import locate_weights
from lab.client.datasets.cifar10 import CIFAR10
from lab.client.datasets.gallery import Gallery
from lab.client.datasets.molecules import Molecules
from lab.client.datasets.wonderland import Wonderland
from lab.commands import reproducing
from lab.commands.reproducing import Place, prepare, reproduce, write
from lab.errors import LabError
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.graph_network import GraphNetwork
from lab.federated.networks.imagenet_resnet import ImageNetResNet
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.transformer import Transformer
from lab.options.catalogue import entries
from lab.studies.base import Budget, Mark, Pictures
from lab.studies.sweeps.measure import measure
from lab.studies.sweeps.rows import row
from lab.studies.sweeps.store import Store, key
from lab.studies.table1 import Table1
from widgets.still import study_figure

ROOT = Path(__file__).parent.parent
STUDIES = {name: entry for name, entry in entries("study").items() if entry.kind == "study"}
WITHOUT_DOWNLOADS = ("no file of weights", "nothing is downloaded unasked")


def tiny(experiment):
    """The same on smaller inputs, where its network takes them, and on the shallowest network of its kind."""
    network, is_trained = experiment.network, experiment.trained
    if isinstance(network, GraphNetwork):
        return replace(experiment, network=replace(network, width=network.width // 16), dataset=Molecules("urea"))
    if isinstance(network, Transformer):
        return replace(experiment, network=replace(network, width=32), dataset=Wonderland(length=3))
    if experiment.size > 64:
        network = ImageNetResNet(depth=18) if isinstance(network, ImageNetResNet) else network
        return replace(experiment, network=network, image_size=64)
    any_size = isinstance(network, ResNet) or (isinstance(network, ConvNet) and not is_trained)
    return replace(experiment, image_size=16) if any_size else experiment


def needs_a_download(experiment):
    """Whether its trained weights are neither shipped nor in a file at hand."""
    if experiment.weights:
        return not locate_weights(experiment.weights).is_file()
    return experiment.trained and checkpoints.card(experiment.network) is None


@pytest.fixture
def offline(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise OSError("no network in tests")

    monkeypatch.setenv("GRADLAB_DATA", "")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(hub, "download_url_to_file", refuse)


@pytest.fixture
def at_home(monkeypatch):
    """Figures are drawn in this process: another, which ``test_the_command_...`` has, imports plotly each time."""

    def draw(words):
        study_figure.draw(Path(words[-1]))
        return 0

    monkeypatch.setattr(reproducing, "run_child", draw)


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_each_study_runs_and_gives_every_file(name, tmp_path, offline, at_home):
    study, store = STUDIES[name](images=1, iterations=2), Store(tmp_path / "experiments")
    cells = [replace(cell, experiments=tuple(map(tiny, cell.experiments[:1]))) for cell in study.cells()]
    for cell in cells:
        try:
            store.write(cell.experiments[0], measure(cell.experiments[0].to_plain()))
        except LabError as error:
            assert any(reason in str(error) for reason in WITHOUT_DOWNLOADS), error  # noqa: PT017
    found = tuple(row(cell, store) for cell in cells)
    assert [one.measured > 0 for one in found] == [not needs_a_download(cell.experiments[0]) for cell in cells]
    for file in write(study, found, store, tmp_path):
        assert (tmp_path / file).stat().st_size > 0
    table = (tmp_path / "table.md").read_text()
    assert all(cell.name in table for cell in cells)
    data = json.loads((tmp_path / "table.json").read_text())
    assert [cell["cell"] for cell in data["cells"]] == [cell.name for cell in cells]
    assert [len(cell["experiments"]) for cell in data["cells"]] == [one.measured for one in found]
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("budget", list(Budget))
@pytest.mark.parametrize("name", STUDIES)
def test_each_study_lists_experiments_that_differ_and_tells_what_it_scaled_down(name, budget):
    for pictures in Pictures:
        study = STUDIES[name](budget=budget, pictures=pictures, seeds=2)
        names = [cell.name for cell in study.cells()]
        assert len(names) == len(set(names)) >= 2
        for cell in study.cells():
            keys = [key(experiment) for experiment in cell.experiments]
            assert len(keys) == len(set(keys)), f"{cell.name} counts an experiment twice"
            assert {experiment.seed for experiment in cell.experiments} >= {0, 1} or len(keys) == 1
            if budget is Budget.SMALL and study.paper_images > len(keys):
                assert cell.scaled_down


@pytest.mark.parametrize("name", STUDIES)
def test_iterations_and_images_are_those_asked_for(name):
    study = STUDIES[name](images=3, iterations=7)
    for cell in study.cells():
        assert len(cell.experiments) <= 3
        for experiment in cell.experiments:
            assert getattr(experiment.attack, "iterations", 7) in (7, 200), cell.name


def test_the_studies_of_the_paper_are_there():
    assert set(STUDIES) == {
        "analytic", "batch", "depth", "graph_curves", "graph_rows", "graph_settings", "labels", "magnitude", "padding",
        "rows", "signed", "table1", "table2", "text_noise", "text_rows", "text_steps", "training", "width",
    }  # fmt: skip


VERIFIED = {18.00}
"""The only number of the tables that was checked against a source that quotes the paper."""


@pytest.mark.parametrize("name", STUDIES)
def test_a_number_that_was_not_checked_says_so(name):
    for cell in STUDIES[name]().cells():
        if cell.paper is not None and cell.paper.value not in VERIFIED:
            assert cell.paper.mark is not Mark.VERIFIED
            assert str(cell.paper).endswith(f"({cell.paper.mark.value})")
            assert any(word in cell.paper.mark.value for word in ("unverified", "derived", "not published"))


def test_numbers_of_table_1_are_the_papers():
    by_name = {cell.name: cell.paper for cell in Table1().cells()}
    assert str(by_name["LeNet untrained, the paper's attack"]) == "18.00 ± 3.33 dB (verified)"
    assert str(by_name["ResNet20-4 trained, the paper's attack"]) == "13.95 ± 3.38 dB (recalled, unverified)"


@pytest.mark.parametrize("study", [Table1(), Table1(budget=Budget.PAPER), Table1(iterations=7)], ids=("small", "paper", "7"))
def test_no_two_cells_of_table_1_are_the_same_experiments(study):
    measured = [tuple(map(key, cell.experiments)) for cell in study.cells()]
    assert len(set(measured)) == len(measured)


def test_a_study_takes_cifar_where_data_are_known_and_the_gallery_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADLAB_DATA", "")
    changes = {"images": 2, "seeds": None, "budget": "paper"}
    assert prepare("magnitude", changes, Place()).pictures is Pictures.GALLERY
    study = prepare("magnitude", changes, Place(data=tmp_path))
    assert (study.pictures, study.budget, study.images) == (Pictures.CIFAR10, Budget.PAPER, 2)
    assert study.cells()[0].experiments[1].dataset == CIFAR10(first=1)
    assert isinstance(prepare("depth", {}, Place(data=tmp_path)).cells()[0].experiments[0].dataset, Gallery)


def test_wrong_input_is_told_in_a_sentence():
    with pytest.raises(LabError, match=r"There is no study called 'tabel1'\. Did you mean 'table1'"):
        prepare("tabel1", {}, Place())
    with pytest.raises(LabError, match="table1: images = 0 is out of range; give a value from 1 to 100"):
        prepare("table1", {"images": 0}, Place())
    with pytest.raises(LabError, match="There is no value of table1: budget called 'huge'"):
        prepare("table1", {"budget": "huge"}, Place())


@pytest.mark.slow
def test_the_command_runs_resumes_and_asks_nothing_of_the_network(tmp_path):
    words = [sys.executable, "-m", "lab.cli", "reproduce", "padding", "--images", "1", "--iterations", "2", "--workers", "1"]
    first = subprocess.run([*words, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "circular padding" in first.stdout
    assert "2/2" in first.stderr
    results = {path: path.stat().st_mtime_ns for path in (tmp_path / "experiments").glob("*.json")}
    assert len(results) == 2
    page = (tmp_path / "figure.html").read_text()
    assert "<script src" not in page
    assert "cdn.plot.ly" not in page.split("</script>")[-2]
    next(iter(results)).unlink()
    again = subprocess.run([*words, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "1 of 2 were done" in again.stderr
    kept = list(results)[1]
    assert kept.stat().st_mtime_ns == results[kept]


def test_the_same_figures_stand_in_both_drawings():
    data = {
        "title": "T",
        "main": "psnr_db",
        "cells": [
            {"cell": "a, b", "psnr_db": 20.0, "psnr_db_low": 18.0, "psnr_db_high": 22.0, "ssim": 0.5, "runs": 3,
             "grey_psnr_db": 13.0, "paper_psnr_db": 18.0, "paper_mark": "verified"},
            {"cell": "c", "psnr_db": 9.0, "psnr_db_low": None, "psnr_db_high": None, "ssim": 0.1, "runs": 1,
             "grey_psnr_db": 13.0, "paper_psnr_db": "", "paper_mark": ""},
            {"cell": "d", "psnr_db": None, "paper_psnr_db": "", "paper_mark": ""},
        ],
    }  # fmt: skip
    figure = study_figure.interactive(data)
    assert list(figure.data[0].x) == [9.0, 20.0]
    assert list(figure.data[0].error_x.arrayminus) == [0.0, 2.0]
    assert list(figure.data[2].x) == [18.0]
    axes = study_figure.still(data).axes[0]
    assert list(axes.lines[0].get_xdata()) == [9.0, 20.0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c", "a, b"]


def test_the_figure_of_the_labels_draws_shares():
    cell = {"cell": "a", "psnr_db": 12.0, "labels_right": 0.75, "labels_right_low": 0.5, "labels_right_high": 1.0, "ssim": 0.1}
    data = {"title": "T", "main": "labels_right", "cells": [cell | {"runs": 4, "grey_psnr_db": 12.0, "paper_psnr_db": ""}]}
    assert list(study_figure.interactive(data).data[0].x) == [0.75]
    axes = study_figure.still(data).axes[0]
    assert list(axes.lines[0].get_xdata()) == [0.75]
    assert axes.get_xlabel() == "share of labels read rightly"


@pytest.mark.slow
def test_one_cell_can_be_measured_by_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADLAB_DATA", "")
    changes = {"images": 1, "iterations": 2}
    told = reproduce("magnitude", changes, Place(workers=1, out=tmp_path, only="COSINE, half"))
    assert "cosine, half of it" in told.summary
    assert told.summary.count("not run") == 3
    assert len(list((tmp_path / "experiments").glob("*.json"))) == 1
    with pytest.raises(LabError, match=r"No cell of magnitude contains 'sine wave'; take a part of a name from its table"):
        reproduce("magnitude", changes, Place(workers=1, out=tmp_path, only="sine wave"))
    with pytest.raises(LabError, match=r"--workers 0 is out of range; give a number from 1 to 256"):
        reproduce("magnitude", changes, Place(workers=0, out=tmp_path))


def test_a_study_that_is_stopped_has_measured_every_cell_alike():
    cells = [*Table1(images=2, seeds=2).cells(), *Table1(images=3).cells()]
    wanted = [key(experiment) for cell in cells for experiment in cell.experiments]
    dealt = [key(experiment) for experiment in reproducing.by_turns(cells)]
    assert sorted(dealt) == sorted(wanted), "each as often as asked"
    assert dealt[: len(cells)] == [key(cell.experiments[0]) for cell in cells]
