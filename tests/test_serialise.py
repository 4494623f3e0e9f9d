"""Every experiment goes to plain data and back unchanged."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import Experiment
from lab.errors import LabError
from lab.federated.networks.lenet import LeNet
from lab.federated.protocols.fedavg import FedAvg
from lab.options.catalogue import Entry, entries
from lab.options.fields import fields_of
from lab.options.plain import differences, from_plain, to_plain


def value_of(field):
    """Any value that a field allows."""
    kind = field.type
    if field.choices is not None:
        return st.sampled_from(field.choices)
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(math.ceil(field.bounds.low), math.floor(field.bounds.high))
    if kind is float:
        return st.floats(field.bounds.low, field.bounds.high)
    if isinstance(kind, type) and issubclass(kind, Entry):
        return any_entry(kind)
    if getattr(kind, "__origin__", None) is tuple:
        part = kind.__args__[0]
        return st.lists(any_entry(part), max_size=3).map(tuple) if issubclass(part, Entry) else st.just(field.default)
    if isinstance(kind, type) and hasattr(kind, "__members__"):
        return st.sampled_from(list(kind))
    return st.just(field.default)


def any_of(option):
    """Any instance of an option class; its defaults where values contradict one another."""

    def build(values):
        try:
            return option(**values)
        except LabError:
            return option()

    return st.fixed_dictionaries({field.name: value_of(field) for field in fields_of(option)}).map(build)


def any_entry(kind):
    return st.sampled_from(list(entries(kind.kind).values())).flatmap(any_of)


@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")  # beartype samples long tuples
@settings(max_examples=120, deadline=None, derandomize=True)
@given(any_of(Experiment))
def test_any_experiment_survives_the_way_through_json(experiment):
    plain = json.loads(json.dumps(experiment.to_plain()))
    assert Experiment.from_plain(plain) == experiment
    assert Experiment.from_plain(json.loads(json.dumps(experiment.changes()))) == experiment


def test_changes_hold_only_what_differs():
    assert Experiment().changes() == {}
    assert Experiment(seed=3).changes() == {"seed": 3}
    changed = Experiment(network=LeNet(), protocol=FedAvg(local_steps=7)).changes()
    assert set(changed) == {"network", "protocol"}
    assert changed["network"]["name"] == "lenet"
    assert differences({"name": "a", "x": 1, "y": 2}, {"name": "a", "x": 1, "y": 3}) == {"name": "a", "y": 2}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "experiment = [] must be an object in braces, such as {...}."),
        ({"sead": 1}, "There is no option of Experiment called 'sead'. Did you mean 'seed'?"),
        ({"network": {"name": "lenett"}}, "There is no network called 'lenett'. Did you mean 'lenet'?"),
        ({"network": {"width": 8}}, 'experiment.network has no name; say which network by "name", such as {"name": '),
        ({"network": "lenet"}, "experiment.network = 'lenet' must be an object in braces"),
        ({"network": {"name": "lenet", "widht": 8}}, "There is no option of lenet called 'widht'."),
        ({"network": {"name": ["lenet"]}}, "There is no network called \"['lenet']\"."),
        ({"seed": "one"}, "Experiment: seed = 'one' must be a whole number."),
        ({"seed": None}, "Experiment: seed = None must be a whole number."),
        ({"attack": {"name": "gradient_matching", "priors": 3}}, "priors = 3 must be a list."),
        ({"attack": {"name": "gradient_matching", "priors": [3]}}, "priors[0] = 3 must be an object in braces"),
        ({"attack": {"name": "cosine"}}, "There is no attack called 'cosine'."),
        ({"labels": "guess"}, "There is no value of Experiment: labels called 'guess'."),
        ({"batch_size": 1e9}, "Experiment: batch_size = 1000000000.0 must be a whole number."),
    ],
)
def test_wrong_plain_data_is_one_clear_sentence(data, sentence):
    with pytest.raises(LabError) as caught:
        Experiment.from_plain(data)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_fields_keep_their_defaults():
    assert from_plain(Experiment, {}) == Experiment()
    assert to_plain(from_plain(Experiment, {"network": {"name": "convnet", "width": 16}}).network)["width"] == 16
