"""What is asked after a run is about something that the run had not."""

from dataclasses import replace

import pytest
from test_likely_causes import possible

from lab import Experiment
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.experiments.edits import patched
from widgets.form import steps
from widgets.form.admission import edited

HAS = {
    "batch": lambda present: present.batch_size > 1,
    "trained": lambda present: present.trained,
    "steps": lambda present: present.protocol.name != "fedsgd",
    "noise": lambda present: any(isinstance(defence, GaussianNoise) for defence in present.defences),
    "algebra": lambda present: present.attack.name == "analytic",
}


def asked_in_turn(present):
    """The questions of a reader who always clicks on, up to the first that comes again."""
    told = []
    while (step := steps.after(present)).key not in told:
        told.append(step.key)
        present = steps.made(step, present)
    return told


@pytest.mark.parametrize("seed", range(0, 400, 2))
def test_no_question_is_about_what_was_there_already(seed):
    present = possible(seed)
    if present is None:
        return
    step = steps.after(present)
    assert not HAS[step.key](present) or all(has(present) for has in HAS.values())


@pytest.mark.parametrize("count", [2, 4, 8, 16])
def test_whoever_sent_several_is_not_asked_about_eight(count):
    """Also where the present experiment is no step of the menu."""
    present = patched(replace(Experiment(), seed=3), [("batch_size", count)])
    assert steps.lit(present) is None
    assert steps.after(present).key == "trained"


def test_whoever_clicks_on_is_asked_everything_once():
    assert asked_in_turn(Experiment()) == [step.key for step in steps.STEPS]


def test_where_all_was_there_the_first_is_asked_again():
    present = Experiment()
    for edit in (("batch_size", 8), ("trained", True), ("local_steps", 5), ("defence", "gaussian_noise")):
        present = edited(present, (edit,))
    assert steps.after(replace(present, attack=edited(Experiment(), (("attack", "analytic"),)).attack)) == steps.STEPS[0]
