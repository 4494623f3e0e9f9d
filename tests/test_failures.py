"""Failures tell the truth: each fails as it says, and its one change turns the verdict."""

import pytest

from lab import reconstruct, score, simulate_round
from lab.experiments.experiment import Experiment
from lab.experiments.failures import FAILURES
from lab.modalities.line_up import Verdict


def verdict(experiment):
    attacked = simulate_round(experiment)
    *_, last = reconstruct(experiment, attacked.observation)
    return score(attacked, last).verdict


@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_fails_and_its_change_mends_it(name):
    """Chosen so that this does not turn with rounding: the likeness of runs a rounding apart (``--nudge``) keeps clear of
    the verdicts' thresholds. After training it varies most, and stays between 0.38 and 0.55 over seven runs.
    """
    failure = FAILURES[name]
    assert failure.expected is not Verdict.RECOGNISABLE
    assert verdict(failure.experiment) is failure.expected
    assert verdict(failure.mended) is Verdict.RECOGNISABLE


@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_is_told_in_one_sentence_and_survives_its_json(name):
    failure = FAILURES[name]
    assert failure.name == name
    assert failure.cause.endswith(".")
    assert ". " not in failure.cause
    assert failure.title.strip()
    assert failure.change[0].islower()
    assert len(failure.edits) == 1, "one click mends it"
    assert Experiment.from_plain(failure.experiment.changes()) == failure.experiment
