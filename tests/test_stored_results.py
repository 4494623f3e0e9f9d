"""What is said of the stored results is true of their files: which of them are of today's defaults."""

import json
from pathlib import Path

import pytest

from lab.options.catalogue import entries
from lab.studies.base import Pictures

STORED = Path(__file__).parents[1] / "notebooks/results"
FORMER = {
    "table1": {"ResNet20-4 untrained, this lab's attack", "ResNet20-4 trained, this lab's attack"},
    "table1-2000": {
        *("ResNet20-4 untrained, this lab's attack", "ResNet20-4 trained, this lab's attack"),
        *("LeNet untrained, this lab's attack", "LeNet trained, this lab's attack"),
    },
}
"""Cells that were attacked by a former default, as the folder's README says."""


def cells(path):
    """Of each cell that was run: the attacks that are stored, and those which the study would run today, as plain data."""
    table = json.loads(path.read_text())
    asked = table["study"]
    study = entries("study")[asked["name"]](
        images=asked["images"], iterations=asked["iterations"], seeds=asked["seeds"], pictures=Pictures(asked["pictures"])
    )
    today = {cell.name: [experiment.to_plain()["attack"] for experiment in cell.experiments] for cell in study.cells()}
    for cell in table["cells"]:
        stored = [each["experiment"]["attack"] for each in cell["experiments"]]
        if stored:
            yield cell["cell"], stored, today[cell["cell"]]


def is_of_today(stored, today):
    """An option that is younger than the file was not there to choose."""
    return any(stored == {name: attack.get(name) for name in stored} for attack in today)


@pytest.mark.parametrize("path", sorted(STORED.glob("*.json")), ids=lambda path: path.stem)
def test_all_are_of_todays_defaults_but_those_that_are_named(path):
    former = {cell for cell, stored, today in cells(path) if not all(is_of_today(attack, today) for attack in stored)}
    assert former == FORMER.get(path.stem, set())
