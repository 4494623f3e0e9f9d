"""Edits change one thing, keep the rest, and refuse what is wrong with a sentence."""

from dataclasses import replace
from itertools import permutations

import pytest
from PIL import Image

from lab import Experiment, LabError
from lab.attacks.gradient_matching import GradientMatching
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.client.defences.pruning import Pruning
from lab.commands.choosing import Choices, choose
from lab.experiments.edits import SHORT_NAMES, edit, parse_patch, patched
from lab.experiments.links import read
from lab.experiments.recommended import recommended_for
from widgets.form.admission import edited


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("network", "lenet", lambda e: e.network.name),
        ("network.width", 16, lambda e: e.network.width),
        ("distance", "euclidean", lambda e: e.attack.distance.name),
        ("iterations", 7, lambda e: e.attack.iterations),
        ("restarts", 3, lambda e: e.attack.restarts),
        ("tv", 0.7, lambda e: e.attack.priors[0].weight),
        ("local_steps", 5, lambda e: e.protocol.local_steps),
        ("local_batch_size", 2, lambda e: e.protocol.batch_size),
        ("local_lr", 0.01, lambda e: e.protocol.learning_rate),
        ("client_loss", "mse", lambda e: e.protocol.loss.name),
        ("picture", "cat", lambda e: e.dataset.first),
        ("defence", "pruning", lambda e: e.defences[0].name),
        ("attack", "analytic", lambda e: e.attack.name),
        ("attack.priors.0.relative", False, lambda e: e.attack.priors[0].relative),
        ("seed", 9, lambda e: e.seed),
        ("batch_size", 4, lambda e: e.batch_size),
    ],
)
def test_one_change_is_made(path, value, where):
    assert where(edit(Experiment(), path, value)) == value


def test_the_closed_form_has_iterations_for_its_search_afterwards():
    assert edit(edit(Experiment(), "attack", "recursive"), "iterations", 7).attack.iterations == 7
    with pytest.raises(LabError, match="'analytic' has no iterations"):
        edit(edit(Experiment(), "attack", "analytic"), "iterations", 7)


def test_every_short_name_is_tried_above():
    assert set(SHORT_NAMES) == {
        "client_loss", "defence", "distance", "iterations", "local_batch_size", "local_lr", "local_steps", "picture",
        "restarts", "tv",
    }  # fmt: skip


def test_everything_else_stays():
    before = edit(edit(Experiment(), "seed", 3), "tv", 0.5)
    after = edit(before, "network", "mlp")
    assert after.to_plain() | {"network": None} == before.to_plain() | {"network": None}


def test_no_local_steps_means_the_gradient_and_zero_tv_means_none():
    averaged = edit(Experiment(), "local_steps", 4)
    assert edit(averaged, "local_steps", 0).protocol.name == "fedsgd"
    smooth = edit(Experiment(), "tv", 0)
    assert smooth.attack.priors == ()
    assert edit(smooth, "tv", 0.2).attack.priors[0].weight == 0.2


def test_a_defence_takes_the_place_of_others_and_none_takes_them_away():
    noisy = edit(edit(Experiment(), "defence", "gaussian_noise"), "defences.0.strength", 3.0)
    assert noisy.defences == (GaussianNoise(strength=3.0),)
    assert edit(noisy, "defence", "pruning").defences == (Pruning(),)
    assert edit(noisy, "defence", "none").defences == ()
    with pytest.raises(LabError, match="Did you mean 'pruning'"):
        edit(noisy, "defence", "prunning")


def test_more_local_steps_keep_the_learning_rate():
    averaged = edit(edit(Experiment(), "local_lr", 0.5), "local_steps", 9)
    assert (averaged.protocol.learning_rate, averaged.protocol.local_steps) == (0.5, 9)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("network", "small_convnt", "Did you mean 'small_convnet'"),
        ("network.widht", 3, "Did you mean"),
        ("network.width", 100_000, "give a value from 4 to 128"),
        ("seed", "many", "must be a whole number"),
        ("local_steps", -1, "give a value from 1 to 1000"),
        ("picture", "mona_lisa", "choose one of"),
        ("attack.priors.5.weight", 1.0, "There is no option"),
        ("nothing.at.all", 1, "There is no option"),
        ("tv", 10**400, "out of range"),
        ("tv", -(10**400), "out of range"),
    ],
)
def test_what_is_wrong_is_said(path, value, sentence):
    with pytest.raises(LabError, match=sentence):
        edit(Experiment(), path, value)


def test_a_closed_form_has_no_distance():
    with pytest.raises(LabError, match="solves equations instead of guessing"):
        edit(edit(Experiment(), "attack", "analytic"), "distance", "cosine")


TOGETHER = [
    (("network", "convnet"), ("network.width", 32), ("batch_size", 4), ("iterations", 7)),
    (("trained", True), ("tv", 0.3), ("attack.distance", "cosine")),
    (("network", "resnet"), ("network.activation", "silu"), ("restarts", 2), ("local_steps", 5)),
    (("attack", "gradient_matching"), ("batch_size", 4), ("defence", "pruning"), ("defences.0.strength", 0.5)),
    (("labels", "joint"), ("distance", "euclidean"), ("picture", "cat"), ("network", "lenet")),
]


def in_words(patches):
    return [f"{path}={str(value).lower() if isinstance(value, bool) else value}" for path, value in patches]


@pytest.mark.parametrize("patches", TOGETHER, ids=lambda patches: "&".join(in_words(patches)))
def test_links_and_flags_make_the_same_experiment_in_whatever_order_they_say_it(patches):
    expected = patched(Experiment(), patches)
    for given in permutations(patches):
        assert patched(Experiment(), given) == expected
        assert read("&".join(in_words(given))).experiment == expected
        assert choose(Choices(edits=given)) == expected


def test_clicks_one_after_another_make_what_flags_make_at_once():
    clicks = (("network", "convnet"), ("batch_size", 4), ("local_steps", 5), ("tv", 0.3), ("iterations", 7), ("seed", 2))
    assert edited(Experiment(), clicks) == choose(Choices(edits=clicks))


def test_entries_in_words_are_flags_and_links_alike():
    network, attack = "resnet:depth=8,activation=silu", "gradient_matching:iterations=30"
    chosen = choose(Choices(network=network, attack=attack, trained=True))
    assert chosen == read(f"attack={attack}&trained=true&network={network}").experiment
    assert chosen == patched(Experiment(), [parse_patch("network", network), parse_patch("attack", attack), ("trained", True)])


@pytest.mark.parametrize("moving", [("network", "lenet"), ("trained", True), ("batch_size", 4), ("network.activation", "gelu")])
def test_the_recommended_attack_follows_and_keeps_what_is_said_of_it(moving):
    moved = patched(Experiment(), [("iterations", 7), moving])
    assert moved.attack == replace(recommended_for(moved), iterations=7)


@pytest.mark.parametrize("moving", [("network", "lenet"), ("trained", True), ("batch_size", 4)])
def test_an_attack_that_is_named_stays(moving):
    assert patched(Experiment(), [("attack", "gradient_matching"), moving]).attack == GradientMatching()


def test_the_attack_follows_the_number_of_own_pictures(tmp_path):
    files = [tmp_path / f"{number}.png" for number in range(4)]
    for file in files:
        Image.new("RGB", (40, 40), "red").save(file)
    chosen = choose(Choices(images=files))
    assert chosen.batch_size == 4
    assert chosen.attack == recommended_for(chosen) != GradientMatching()
    assert choose(Choices(images=files, attack="gradient_matching")).attack == GradientMatching()
