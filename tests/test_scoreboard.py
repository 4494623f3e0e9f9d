"""The scoreboard shows what is stored, marks what was not checked, and each row opens its experiment."""

import html
import re
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.experiments.experiment import Experiment
from lab.experiments.links import left_out, read
from lab.studies.sweeps.store import key
from widgets.still import scoreboard

STORED = scoreboard.stored()


def cells(name):
    return STORED[name]["cells"]


def test_there_are_results():
    assert {"table1", "analytic", "labels", "training", "magnitude"} <= set(STORED)


@pytest.mark.parametrize("name", STORED)
def test_every_stored_experiment_is_a_whole_one_counted_once(name):
    for cell in cells(name):
        experiments = [Experiment.from_plain(result["experiment"]) for result in cell["experiments"]]
        assert len({key(experiment) for experiment in experiments}) == len(experiments) == cell["runs"]
        values = [result["psnr_db"] for result in cell["experiments"]]
        if values:
            assert cell["psnr_db"] == pytest.approx(sum(values) / len(values), abs=1e-3)


@pytest.mark.parametrize("name", STORED)
def test_every_row_opens_its_experiment(name):
    for cell in cells(name):
        address, lost = scoreboard.link(cell)
        if not cell["experiments"]:
            assert address == ""
            continue
        first = Experiment.from_plain(cell["experiments"][0]["experiment"])
        assert read(address.partition("?")[2]).experiment == first or lost == left_out(first) != ""


def test_the_tables_read_aloud_and_mark_recalled_numbers():
    text = scoreboard.table(STORED["table1"])
    assert html.escape("46.25 ± 12.66 (recalled, unverified)") in text
    assert "18.00 ± 3.33 (verified)" in text
    assert text.count("<caption") == 1
    assert text.count('scope="col"') == len(scoreboard.HEADINGS)
    rows = re.findall(r"<tr>(?!<th scope=\"col\")(.*?)</tr>", text)
    assert len(rows) == sum(cell["runs"] > 0 for cell in STORED["table1"]["cells"])
    assert all(row.count("<td>") == len(scoreboard.HEADINGS) - 1 for row in rows)


def test_a_cell_without_runs_is_named_below_its_table_and_a_budget_in_the_caption():
    first, second = STORED["labels"]["cells"][:2]
    study = STORED["labels"] | {"cells": [first, second | {"runs": 0}]}
    text = scoreboard.table(study | {"study": study["study"] | {"iterations": 2000, "seeds": 3}})
    assert text.count("<td>") == len(scoreboard.HEADINGS) - 1
    assert text.endswith(f"<p>Not run: {html.escape(second['cell'])}.</p>")
    assert "Every attack with 2,000 steps. Each picture under 3 draws of the weights." in text
    assert "draws" not in scoreboard.table(study)


def test_results_name_no_machine():
    for path in Path(scoreboard.RESULTS).glob("*.json"):
        assert not re.search(r"/(home|work|root|tmp|Users)/", path.read_text())
        assert path.stat().st_size < 1_000_000


def test_an_unknown_study_is_named():
    with pytest.raises(LabError, match=r"There is no stored study called 'tabel1'\. Did you mean 'table1'"):
        scoreboard.scoreboard("tabel1")
