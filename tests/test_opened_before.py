"""What people keep opens as before, whatever has moved since: links, experiment files and run files of an earlier lab."""

import json
from pathlib import Path

import pytest

from lab import Experiment
from lab.experiments import links
from widgets.files import run_file

FOLDER = Path(__file__).parent / "opened_before"
KEPT = json.loads((FOLDER / "links.json").read_text())
"""By name, the link and the plain data of an experiment; every preset, failure and entry that there was."""


@pytest.mark.parametrize("name", KEPT)
def test_a_link_kept_opens_the_experiment_kept(name):
    opened = links.read(KEPT[name]["link"])
    assert opened.notices == ()
    assert opened.experiment == Experiment.from_plain(KEPT[name]["experiment"])


@pytest.mark.parametrize("name", KEPT)
def test_an_experiment_file_kept_says_today_what_it_said(name, tmp_path):
    file = tmp_path / "experiment.json"
    file.write_text(json.dumps(KEPT[name]["experiment"]))
    assert holds(Experiment.from_file(file).to_plain(), KEPT[name]["experiment"])


def holds(now, then):
    """Whether everything said then is said now; new options may have come beside it."""
    if isinstance(then, dict):
        return now.keys() >= then.keys() and all(holds(now[key], value) for key, value in then.items())
    if isinstance(then, list):
        return len(now) == len(then) and all(map(holds, now, then))
    return now == then


def test_a_run_file_kept_shows_its_run():
    past = run_file.read((FOLDER / "run.json").read_bytes())
    assert past.experiment.attack.iterations == 6
    assert past.frames[-1].iteration == 6
    assert past.frames[-1].image.shape == (32, 32, 3)
    assert past.frames[-1].verdict
