"""A past run is named by what somebody chose, not by what follows from it."""

import numpy as np
import pytest

from lab import Experiment
from lab.experiments.edits import edit
from widgets.run.frames import Frame
from widgets.run.history import History


def titled(experiment):
    past = History()
    picture = np.zeros((4, 4, 3), np.uint8)
    shown = Frame(1, 1, 10, 0.1, {"psnr_db": 20.0}, "Recognisable", "1st of 8 in the line-up", picture, 0.5)
    past.add(experiment, [shown], "All iterations are done.", 10)
    return past.strip()[0]["title"]


@pytest.mark.parametrize(
    ("edits", "title"),
    [
        ((), "the default experiment"),
        ((("picture", "owl"),), "the default experiment"),
        ((("picture", "owl"), ("seed", 5)), "Seed: 5"),
        ((("network", "lenet"),), "Network: LeNet"),
        ((("network", "lenet"), ("seed", 5)), "Network: LeNet, Seed: 5"),
        ((("trained", True),), "Its weights: trained"),
        ((("network", "lenet"), ("attack.iterations", 40)), "Network: LeNet, Iterations: 40"),
    ],
)
def test_a_title_says_what_was_chosen(edits, title):
    experiment = Experiment()
    for path, value in edits:
        experiment = edit(experiment, path, value)
    assert titled(experiment) == title
