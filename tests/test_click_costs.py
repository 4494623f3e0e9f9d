"""What a click on the menu costs and comes to is told before it is made, as the project's own command found it out."""

from dataclasses import replace

import pytest

from lab import Experiment
from lab.client.checkpoints import available, imagenet
from lab.client.datasets.gallery import Gallery
from lab.experiments.cost.products import products_per_second
from lab.experiments.edits import edit
from lab.modalities.line_up import Verdict
from lab.options.catalogue import entries
from widgets.form.admission import edited
from widgets.form.controls import schema
from widgets.form.costs import costs_of
from widgets.landscape.cells import outcome
from widgets.landscape.known import outcome_of, seconds_here
from widgets.landscape.menu import clicked, clicks, menu

MENU = [(name, trained) for name in sorted(entries("network")) for trained in (False, True)]
AGAIN = [("gcn", False), ("transformer", True), ("imagenet_vit", False), ("small_convnet", True)]
"""The quickest of each kind of input, and the one in sight from which the secret does not come back."""


def fetched():
    """Whose weights do not ship, and were never attacked: a machine may have them."""
    return {(name, True) for name, entry in entries("network").items() if imagenet.published(entry())}


def told(start, path, value):
    controls = {control["path"]: control for control in costs_of(start).shown_in(schema(start))}
    return next(option for option in controls[path]["options"] if option["value"] == value)


@pytest.mark.parametrize(("name", "trained"), MENU)
def test_whatever_the_menu_offers_says_what_it_costs_and_comes_to_before_the_click(name, trained):
    for start, path, value in (
        (edited(Experiment(), (("trained", trained),)), "network", name),
        (clicked((name, not trained)), "trained", trained),
    ):
        after, option = edited(start, ((path, value),)), told(start, path, value)
        if trained and not available(after.network):
            assert (option["failed"], "no trained weights" in option["outcome"]) == ("no weights", True)
            continue
        if (name, trained) in fetched() - menu().keys():
            assert path == "network" or option["seconds"] > 0
            continue
        found = outcome_of(after)
        assert option["seconds"] > 0
        assert option["outcome"] == (
            f"on the default {after.modality.one}: {found.verdict}, {found.score}, {found.place} in the line-up"
        )
        assert option["failed"] == ("" if found.verdict == Verdict.RECOGNISABLE.value else found.verdict.lower())


@pytest.mark.parametrize("click", AGAIN)
def test_what_ships_comes_out_again(click):
    found, shipped = outcome(clicked(click)), outcome_of(clicked(click))
    assert (found.verdict, found.place) == (shipped.verdict, shipped.place)


def test_the_menu_ships_whole_and_its_seconds_go_by_the_rate_of_this_machine():
    assert menu().keys() == set(clicks())
    for click, (found, rate) in menu().items():
        assert seconds_here(clicked(click)) * products_per_second() == pytest.approx(found.seconds * rate)


def test_what_came_of_the_default_input_is_told_of_any_other_and_of_nothing_else():
    present = Experiment()
    known = outcome_of(present)
    own = edit(present, "dataset", {"name": "inline", "pictures": [], "labels": []})
    for other in (replace(present, seed=5), replace(present, dataset=Gallery(first="owl")), own):
        assert outcome_of(other) is known
    assert outcome_of(edit(present, "batch_size", 3)) is None
    assert outcome_of(edit(present, "iterations", 7)) is None
    assert outcome_of(edit(present, "dataset", "cifar10")) is None
