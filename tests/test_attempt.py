"""One call from the changes to the verdict."""

import pytest

from lab import Experiment, LabError, Verdict
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.distances.euclidean import Euclidean
from lab.course.attempt import attempt


def test_it_is_the_flow_of_the_lab():
    made = attempt(picture="duck", iterations=40, seed=3)
    assert made.experiment == Experiment.from_plain(made.experiment.to_plain())
    assert (made.experiment.seed, made.experiment.dataset.first, made.state.iteration) == (3, "duck", 40)
    assert made.found.shape == made.secret.shape
    assert made.scores.verdict is Verdict.RECOGNISABLE


def test_a_wrong_change_is_one_sentence():
    with pytest.raises(LabError, match="Did you mean 'trained'"):
        attempt(trainde=True)


def test_only_what_is_said_changes():
    """On the page a trained network brings its own attack along; a comparison must not."""
    made = attempt(trained=True, distance="euclidean", iterations=5)
    assert made.experiment == Experiment(trained=True, attack=GradientMatching(distance=Euclidean(), iterations=5))
