"""A link holds a whole experiment in a few characters, and a bad one is told in words."""

from dataclasses import replace
from enum import Enum
from typing import get_args
from unittest import mock

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some

from lab import Experiment, reconstruct, simulate_round
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.priors.l2 import L2
from lab.client.datasets.gallery import NAMES as PICTURES
from lab.client.datasets.gallery import Gallery
from lab.client.datasets.inline import Inline
from lab.experiments import links
from lab.experiments.edits import edit
from lab.experiments.links import CODES, COVERED, LONGEST, WORDS, Link, left_out, read, write
from lab.experiments.presets import PRESETS
from lab.experiments.recommended import with_one_modality
from lab.federated.networks.mlp import MLP
from lab.options.catalogue import Entry, entries
from lab.options.fields import fields_of

FREE_TEXT = {"weights", "root", "path", "pictures", "folder", "code", "own", "line"}
NO_FILES = {"inline", "folder", "npz", "unknown"}


AMPLE = 700
"""Characters that every experiment fits into, with numbers of three digits; a few need more than ``LONGEST``."""


def ample_room():
    return mock.patch.object(links, "LONGEST", AMPLE)


def few_digits(low, high):
    """Numbers as people type them, of no more digits than every link has room for."""
    return some.floats(low, high).map(lambda number: min(high, max(low, float(f"{number:.3g}"))))


def values(field, floats):
    """Plain data of any value that a field may take, files and pictures left out."""
    if field.choices is not None:
        return some.sampled_from(field.choices)
    if field.type == tuple[int, ...]:
        return some.lists(some.integers(0, 9), max_size=4)
    if field.type == tuple[float, ...]:
        return some.lists(floats(0.1, 1), max_size=4)
    if "tuple" in str(field.type):
        return some.lists(any_of(get_args(field.type)[0].kind, floats), unique_by=lambda plain: plain["name"], max_size=2)
    if isinstance(field.type, type) and issubclass(field.type, Entry):
        return any_of(field.type.kind, floats)
    if isinstance(field.type, type) and issubclass(field.type, Enum):
        return some.sampled_from([member.value for member in field.type])
    if field.type is bool:
        return some.booleans()
    low, high = field.bounds.low, field.bounds.high
    return floats(low, high) if field.type is float else some.integers(int(low), int(high))


def any_of(kind, floats):
    """Any entry of a kind with any options."""
    names = sorted(set(entries(kind)) - NO_FILES)
    return some.one_of(
        [options(entries(kind)[name], floats).map(lambda plain, name=name: plain | {"name": name}) for name in names]
    )


def options(kind, floats=few_digits):
    return some.fixed_dictionaries(by_field(kind, floats))


def by_field(kind, floats=few_digits):
    return {field.name: values(field, floats) for field in fields_of(kind) if field.name not in FREE_TEXT}


def without_numbers(plain):
    if isinstance(plain, dict):
        return {key: without_numbers(value) for key, value in plain.items()}
    return (
        [without_numbers(value) for value in plain] if isinstance(plain, list) else "x" if isinstance(plain, float) else plain
    )


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_a_preset_comes_back_from_its_link(preset):
    query = write(preset.experiment)
    assert read(query).experiment == preset.experiment
    assert read(query).notices == ()
    assert len(query) <= LONGEST
    assert left_out(preset.experiment) == ""


def possible(plain):
    """The experiment with this plain data, its data set and network of one kind."""
    experiment = with_one_modality(Experiment(), Experiment.from_plain(plain))
    assume(experiment.dataset.modality == experiment.network.modality)
    return experiment


@pytest.mark.parametrize("name", PICTURES)
def test_a_covered_link_says_of_no_picture_which_it_is(name):
    for experiment in (Experiment(), edit(Experiment(), "network", "lenet")):
        secret = replace(experiment, dataset=Gallery(first=name))
        query = write(secret, covered=True)
        assert read(query) == Link(secret)
        assert name not in query
    assert len(set(COVERED.values()) | set(CODES.values())) == len(PICTURES) + len(CODES)


@pytest.mark.parametrize("field", by_field(Experiment))
@settings(max_examples=25, deadline=None)
@given(some.data())
def test_one_choice_of_any_kind_comes_back_from_its_link(field, data):
    """As the form makes it: data and network are of one kind."""
    experiment = edit(Experiment(), field, data.draw(by_field(Experiment)[field]))
    query = write(experiment, ["picture", "seed"])
    link = read(f"?{query}")
    assert len(query) <= LONGEST
    assert (link.hidden, link.notices) == (("picture", "seed"), ())
    assert link.experiment == experiment
    assert left_out(experiment) == ""


@pytest.mark.parametrize("name", sorted(entries("modality")))
def test_a_network_of_each_modality_comes_back_with_the_data_that_it_takes(name):
    experiment = edit(Experiment(), "network", entries("modality")[name]().network)
    assert experiment.modality.name == name
    assert read(write(experiment)).experiment == experiment
    assert left_out(experiment) == ""


@settings(max_examples=60, deadline=None)
@given(options(Experiment))
def test_any_experiment_comes_back_from_a_link_that_has_room_for_it(plain):
    experiment = possible(plain)
    with ample_room():
        query = write(experiment, ["picture", "seed"])
        link = read(f"?{query}")
    assert len(query) <= AMPLE
    assert (link.hidden, link.notices) == (("picture", "seed"), ())
    assert link.experiment == experiment


@settings(max_examples=60, deadline=None)
@given(options(Experiment, some.floats))
def test_endless_digits_are_rounded_and_nothing_else_is_lost_where_there_is_room(plain):
    experiment = possible(plain)
    with ample_room():
        query = write(experiment)
        assert len(query) <= AMPLE
        assert (read(query).experiment == experiment) == (left_out(experiment) == "")
    assert without_numbers(read(query).experiment.to_plain()) == without_numbers(experiment.to_plain())


@settings(max_examples=60, deadline=None)
@given(options(Experiment))
def test_any_experiment_comes_back_from_its_link_or_is_said_to_be_too_long_for_one(plain):
    experiment = possible(plain)
    query = write(experiment)
    link = read(f"?{query}")
    assert len(query) <= LONGEST
    assert link.notices == ()
    assert (link.experiment == experiment) == (left_out(experiment) == "")
    lost = [name for name in plain if getattr(link.experiment, name) != getattr(experiment, name)]
    assert all(name in left_out(experiment) for name in lost)
    assert len(lost) <= len(plain) // 2, "most of it fits into any link"


@settings(max_examples=60, deadline=None)
@given(options(Experiment, some.floats))
def test_endless_digits_are_rounded_only_where_they_would_not_fit(plain):
    experiment = possible(plain)
    query = write(experiment)
    assert len(query) <= LONGEST
    kept, said = read(query).experiment, left_out(experiment)
    assert (kept == experiment) == (said == "")
    whole, rest = without_numbers(experiment.to_plain()), without_numbers(kept.to_plain())
    dropped = [name for name in whole if rest[name] != whole[name]]
    assert all(name in said for name in dropped)
    assert len(dropped) <= len(whole) // 2, "most of it fits into any link"


def test_a_link_is_written_in_words_where_it_fits():
    experiment = edit(edit(Experiment(), "network.width", 16), "distance", "euclidean")
    assert write(experiment) == "network=small_convnet:width=16&attack=gradient_matching:distance=euclidean"


def test_a_teacher_may_write_a_link_by_hand():
    link = read("?tv=0.1&preset=geiping2020&picture=cat&local_steps=5&hide=network,seed&attack.start=grey")
    experiment = link.experiment
    assert (experiment.attack.priors[0].weight, experiment.attack.iterations) == (0.1, 4800)
    assert (experiment.dataset.first, experiment.protocol.local_steps) == ("cat", 5)
    assert (link.hidden, link.notices) == (("network", "seed"), ())


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("nonsense=3", "There is no option in a link called 'nonsense'"),
        ("sede=3", "Did you mean 'seed'"),
        ("network=lenett", "Did you mean 'lenet'"),
        ("network=lenet:depth=3", "There is no option of lenet called 'depth'"),
        ("iterations=0", "give a value from 1 to 100000"),
        ("trained=perhaps", "must be true or false"),
        ("attack=gradient_matching:priors=l2(weight=1", "a bracket that does not close"),
        ("preset=geiping", "Did you mean 'geiping2020'"),
        ("dataset=folder:path=/etc", "A link cannot name files"),
        ("weights=/etc/passwd", "A link cannot name files"),
        ("%ff%00==", "There is no option in a link"),
        ("~~=~", "There is no option in a link"),
    ],
)
def test_a_bad_part_is_a_notice_and_the_rest_is_used(query, sentence):
    link = read(f"{query}&seed=4")
    assert link.experiment == Experiment(seed=4)
    assert sentence in link.notices[0]


def test_own_pictures_stay_at_home():
    experiment = Experiment(dataset=Inline(pictures=("iVBOR",), labels=(3,)), seed=5)
    assert read(write(experiment)).experiment == Experiment(seed=5)
    assert "export the run as JSON" in left_out(experiment)


def test_what_is_too_long_for_any_link_is_named():
    priors = tuple(L2(weight=1 + number / 8) for number in range(60))
    experiment = Experiment(attack=GradientMatching(priors=priors), seed=3)
    assert read(write(experiment)).experiment == Experiment(seed=3)
    assert "too short for all of: attack" in left_out(experiment)


def test_a_run_from_a_link_ends_as_the_run_behind_it():
    experiment = edit(edit(Experiment(network=MLP(width=16, depth=2), seed=4), "iterations", 30), "tv", 0.123)
    ends = []
    for each in (experiment, read(write(experiment)).experiment):
        *_, last = reconstruct(each, simulate_round(each).observation)
        ends.append(last.objective)
    assert ends[1] == pytest.approx(ends[0], rel=0.01)


def test_every_word_has_a_code_and_none_is_given_twice():
    assert len(set(WORDS)) == len(WORDS) == len(set(CODES.values()))
