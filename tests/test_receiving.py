"""An update in any form that a client may send it: the same result as in the plain form, or one sentence."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from of_pictures import of_pictures
from rounds import observe, random_batch, smooth_batch

from lab.attacks.analytic import Analytic
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.outcomes import MatchingOutcome
from lab.errors import LabError
from lab.federated.networks.base import Activation
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.options.catalogue import entries
from lab.randomness import stream


def each(change):
    return lambda update: {name: change(tensor) for name, tensor in update.items()}


def strided(tensor):
    """The same numbers, two places apart in memory."""
    wide = torch.stack([tensor, tensor], dim=-1)
    return wide[..., 0]


FORMS = {
    "float64": each(torch.Tensor.double),
    "another order": lambda update: dict(reversed(update.items())),
    "not contiguous": each(strided),
    "in a graph": each(lambda tensor: tensor.clone().requires_grad_()),
    "numpy": each(torch.Tensor.numpy),
    "sparse": each(torch.Tensor.to_sparse),
    "parameters": each(lambda tensor: torch.nn.Parameter(tensor.clone())),
    "statistics beside": lambda update: {"features.9.running_mean": torch.ones(3), **update, "steps": torch.tensor(7)},
    "of a wrapped network": lambda update: {f"module.{name}": tensor for name, tensor in update.items()},
}
ATTACKS = [entry() for entry in of_pictures("attack").values()]


def shortened(attack):
    return replace(attack, iterations=4) if hasattr(attack, "iterations") else attack


def end(attack, observed):
    *_, last = shortened(attack).reconstruct(observed, stream(0, "candidate"))
    return last


@cache
def seen(network):
    return observe(network, smooth_batch(size=16), source=LabelSource.INFERRED)


@cache
def end_as_it_came(network, attack):
    return end(attack, seen(network))


def same(one, other):
    if one.labels is not None:
        assert torch.equal(one.labels, other.labels)
    return one.outcome is other.outcome and torch.equal(one.candidate, other.candidate)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
@pytest.mark.parametrize("network", [MLP(depth=2, width=16), SmallConvNet(width=4)], ids=lambda network: network.name)
def test_the_form_of_an_update_changes_nothing(network, attack, form):
    observed = seen(network)
    changed = replace(observed, update=FORMS[form](observed.update))
    assert list(changed.update) == [name for name, _ in observed.network.named_parameters()]
    assert same(end(attack, changed), end_as_it_came(network, attack))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_half_precision_is_cast_once_and_costs_its_rounding_alone(attack, dtype):
    observed = observe(SmallConvNet(width=4), smooth_batch(size=16))
    sent = replace(observed, update={name: tensor.to(dtype) for name, tensor in observed.update.items()})
    rounded = replace(observed, update={name: tensor.to(dtype).float() for name, tensor in observed.update.items()})
    assert same(end(attack, sent), end(attack, rounded))
    for name, tensor in observed.update.items():
        assert float((sent.update[name] - tensor).abs().max()) <= torch.finfo(dtype).eps * float(tensor.abs().max())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_ratio_of_half_precision_is_as_exact_as_its_numbers(dtype):
    batch = random_batch(1, (3, 8, 8))
    observed = observe(MLP(depth=2, width=16), batch)
    sent = replace(observed, update={name: tensor.to(dtype) for name, tensor in observed.update.items()})
    assert float((end(Analytic(), sent).candidate - batch.images).abs().max()) < 4 * torch.finfo(dtype).eps


def test_whole_numbers_are_read_as_numbers():
    observed = observe(SmallConvNet(width=4), smooth_batch(size=16))
    signs = replace(observed, update={name: tensor.sign() for name, tensor in observed.update.items()})
    sent = replace(observed, update={name: tensor.sign().to(torch.int8) for name, tensor in observed.update.items()})
    assert same(end(GradientMatching(), sent), end(GradientMatching(), signs))


PARTS = {
    "the head alone": lambda name: name.startswith("head"),
    "the body alone": lambda name: name.startswith("features"),
    "weights alone": lambda name: name.endswith("weight"),
    "the first layer alone": lambda name: name.startswith("features.0") or name.startswith("head.0"),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
@pytest.mark.parametrize("protocol", [FedSGD(), FedAvg(local_steps=3, learning_rate=1e-2)], ids=lambda protocol: protocol.name)
@pytest.mark.parametrize("pictures", [1, 2])
def test_a_part_of_an_update_is_used_or_refused_in_a_sentence(part, attack, protocol, pictures):
    """The network itself is left as it was: another observation of it knows every layer."""
    observed = observe(SmallConvNet(width=4), smooth_batch(pictures, size=16), protocol)
    sent = {name: tensor for name, tensor in observed.update.items() if PARTS[part](name)}
    before = [weight.requires_grad for weight in observed.network.parameters()]
    partial = replace(observed, update=sent)
    try:
        last = end(attack, partial)
    except LabError as error:
        assert str(error).endswith(".")  # noqa: PT017
    else:
        assert torch.isfinite(last.candidate).all()
        assert last.outcome is not None
    assert [weight.requires_grad for weight in observed.network.parameters()] == before


def test_matching_the_layers_that_were_sent_finds_the_picture_all_the_same():
    """Truth: the private picture, against grey."""
    batch = smooth_batch(size=16)
    observed = observe(SmallConvNet(width=8), batch)
    body = replace(observed, update={name: t for name, t in observed.update.items() if name.startswith("features")})
    *_, last = GradientMatching(iterations=60).reconstruct(body, stream(0, "candidate"))
    assert float((last.candidate - batch.images).square().mean()) < 0.3 * float((0.5 - batch.images).square().mean())


def test_labels_that_the_update_does_not_tell_are_refused_by_name():
    observed = observe(SmallConvNet(width=4), smooth_batch(size=16), source=LabelSource.INFERRED)
    body = replace(observed, update={name: t for name, t in observed.update.items() if name.startswith("features")})
    with pytest.raises(LabError, match=r"the update holds nothing of head\.0\.weight\. Let the server know"):
        end(GradientMatching(), body)


def spoil(value):
    def change(update):
        spoiled = {name: tensor.clone() for name, tensor in update.items()}
        spoiled["features.0.weight"].view(-1)[:2] = value
        return spoiled

    return change


REFUSED = {
    "NaN": (spoil(math.nan), r"2 of the 108 numbers of features\.0\.weight are NaN or infinite"),
    "infinite": (spoil(-math.inf), r"2 of the 108 numbers of features\.0\.weight are NaN or infinite"),
    "too large": (
        lambda update: {**update, "head.0.bias": torch.full((10,), 1e200, dtype=torch.float64)},
        r"10 of the 10 numbers of head\.0\.bias are too large for torch\.float32",
    ),
    "complex": (each(lambda tensor: tensor + 0j), r"features\.0\.weight of the update holds complex numbers"),
    "another shape": (
        each(torch.Tensor.flatten),
        r"features\.0\.weight of the update has the shape \(108,\), and",
    ),
    "empty": (lambda _: {}, r"The update is empty"),
    "foreign names": (
        lambda _: {"conv1.weight": torch.ones(3)},
        r"names none of the network's parameters: it has conv1",
    ),
    "no numbers": (each(lambda _: "a text"), r"features\.0\.weight of the update is a str and no array of numbers"),
    "objects": (each(lambda _: np.array([{}])), r"features\.0\.weight of the update is a ndarray and no array of numbers"),
    "without data": (each(lambda tensor: tensor.to("meta")), r"is a tensor without numbers"),
    "a list": (lambda update: list(update.values()), r"An update is a dictionary .* and this is a list"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_compared_is_refused_in_a_sentence(case):
    observed = observe(SmallConvNet(width=4), smooth_batch(size=16))
    change, sentence = REFUSED[case]
    with pytest.raises(LabError, match=sentence):
        replace(observed, update=change(observed.update))


def test_weights_with_nan_are_blamed_for_themselves():
    observed = observe(SmallConvNet(width=4), smooth_batch(size=16))
    observed.network.head[0].weight.data[0, 0] = math.nan
    with pytest.raises(LabError, match=r"The network's own weights are no finite numbers in head\.0\.weight"):
        replace(observed, update=observed.update)


def test_zeros_for_a_frozen_layer_are_left_out_and_numbers_for_it_are_used():
    observed = observe(SmallConvNet(width=4), smooth_batch(size=16))
    observed.network.features[0].weight.requires_grad_(False)
    zeros = {**observed.update, "features.0.weight": torch.zeros_like(observed.update["features.0.weight"])}
    assert "features.0.weight" not in replace(observed, update=zeros).update
    used = replace(observed, update=observed.update)
    assert used.network.features[0].weight.requires_grad
    assert "features.0.weight" in used.update


def test_an_observation_in_plain_form_keeps_its_network():
    observed = observe(ResNet(depth=8, activation=Activation.TANH), smooth_batch())
    again = replace(observed, batch_size=1)
    assert again.network is observed.network
    assert all(again.update[name].data_ptr() == tensor.data_ptr() for name, tensor in observed.update.items())


def test_numbers_beyond_a_distance_are_not_blamed_on_the_step():
    observed = observe(SmallConvNet(width=4), smooth_batch(size=16))
    huge = replace(observed, update={name: 1e30 * tensor for name, tensor in observed.update.items()})
    assert end(GradientMatching(distance=entries("distance")["euclidean"]()), huge).outcome is MatchingOutcome.NEVER_FINITE
