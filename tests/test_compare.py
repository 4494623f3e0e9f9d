"""Stored runs side by side, read back from real files."""

import csv

import pytest
from typer.testing import CliRunner

from lab import LabError
from lab.cli import app
from widgets.still.compare import compare


def test_two_runs_become_two_lines_in_each_panel(tmp_path):
    for name, distance in (("by direction", "cosine"), ("by length", "euclidean")):
        words = ["run", "--network", "mlp:width=8,depth=2", "--iterations", "4", "--distance", distance]
        assert CliRunner().invoke(app, [*words, "--out", str(tmp_path / name)]).exit_code == 0
    figure = compare([tmp_path / "by direction", tmp_path / "by length"])
    assert [trace.name for trace in figure.data] == ["by direction"] * 2 + ["by length"] * 2
    with (tmp_path / "by length" / "history.csv").open() as file:
        objectives = [float(row["objective"]) for row in csv.DictReader(file)]
    assert list(figure.data[2].y) == objectives
    assert figure.layout.yaxis.type == "log"


def test_a_folder_without_a_run_is_a_sentence(tmp_path):
    with pytest.raises(LabError, match="give a folder that 'gradlab run --out' made"):
        compare([tmp_path])
