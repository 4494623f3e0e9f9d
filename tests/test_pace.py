"""The pace: time goes by the logarithm of the iteration, and what is left is what the rests and steps add up to."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import Experiment, simulate_round
from lab.evaluation.reconstructions import reconstructions
from lab.experiments.driving import drive
from widgets.run.frames import pixels
from widgets.run.pace import MAX_REST_S, PACE_S, Rate, rest_s, seconds_left

JUST_SEEN = 2.0
"""Grey levels of 255, the mean over a picture, by which it changes in half a second where somebody sees it change."""


@given(iterations=st.integers(1, 5000), pace=st.floats(0, 5))
def test_all_rests_together_are_the_pace(iterations, pace):
    rests = [rest_s(iteration, iterations, pace) for iteration in range(iterations)]
    assert all(rest <= MAX_REST_S for rest in rests)
    assert rests == sorted(rests, reverse=True)
    if pace * math.log(2) / math.log1p(iterations) <= MAX_REST_S:
        assert sum(rests) == pytest.approx(pace)
        half = round(math.sqrt(1 + iterations)) - 1
        assert sum(rests[:half]) == pytest.approx(pace / 2, abs=rests[max(0, half - 1)]), "the square root stands half-way"


@given(iterations=st.integers(1, 2000), pace=st.floats(0, 20), rate=st.floats(0.1, 1e4), done=st.floats(0, 1))
def test_what_is_left_is_what_each_step_and_its_rest_take(iterations, pace, rate, done):
    """Brute force over all steps that are left; a rest in which the step itself is done is no longer than it."""
    iteration = int(done * iterations)
    unit = pace / math.log1p(iterations)
    steps = [max(1 / rate, unit * math.log1p(1 / (1 + step))) for step in range(iteration, iterations)]
    assert seconds_left(iteration, iterations, pace, rate) == pytest.approx(sum(steps), rel=0.15, abs=2 / rate)


def test_before_the_first_step_nothing_is_foretold():
    assert seconds_left(0, 200, 6.0, 0.0) is None


@given(iterations=st.integers(0, 50), further=st.integers(1, 50), pace=st.floats(0, 20), rate=st.floats(0.1, 1e4))
def test_of_a_run_that_has_gone_further_than_it_told_nothing_is_foretold(iterations, further, pace, rate):
    assert seconds_left(iterations + further, iterations, pace, rate) is None
    assert seconds_left(iterations, iterations, pace, rate) == pytest.approx(0)


@given(
    warming=st.floats(0, 100),
    step=st.floats(1e-3, 10),
    jitter=st.lists(st.floats(0.8, 1.25), min_size=20, max_size=20),
    iterations=st.integers(20, 3000),
    again=st.booleans(),
)
def test_the_time_left_is_never_wrong_by_more_than_a_factor_of_two(warming, step, jitter, iterations, again):
    """After one step in twenty, however long the first one took, which loads what the others need; a restart counts anew."""
    rate, clock, spent = Rate(), 0.0, []
    if again:
        rate(0, clock)
        clock += rate(iterations, 7.0)
    for iteration in range(iterations + 1):
        spent.append((iteration, clock, rate(iteration, clock)))
        clock += step * jitter[iteration % len(jitter)] * (1 + warming * (iteration == 0))
    whole = spent[-1][1]
    for iteration, seconds, told in spent[math.ceil(iterations / 20) + 1 : -2]:
        left = seconds_left(iteration, iterations, 0.0, told)
        assert (whole - seconds) / 2 <= left <= 2 * (whole - seconds), iteration


def test_most_of_the_watchable_time_the_picture_visibly_changes():
    """The default attack at the pace that people watch, as if a step took no time: which guess is shown when."""
    attacked, shown, pictures, now = simulate_round(Experiment()), [], [], 0.0
    with drive(Experiment(), attacked.observation) as attack:
        for state in attack:
            shown.append(now)
            pictures.append(pixels(reconstructions(attacked, state))[0].astype(float))
            now += rest_s(state.iteration, state.iterations, PACE_S)
    moments = np.arange(0, now, 0.1)
    at, later = (np.searchsorted(shown, moments + ahead, side="right") - 1 for ahead in (0, 0.5))
    changes = [np.abs(pictures[two] - pictures[one]).mean() >= JUST_SEEN for one, two in zip(at, later, strict=True)]
    assert np.mean(changes) >= 0.6
