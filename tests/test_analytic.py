"""Proposition 3.1: exact where it says so, and each way to fail recognised and named."""

from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rounds import as_round, observe, random_batch
from torch import nn

from lab import score
from lab.attacks.analytic import Analytic
from lab.attacks.closed_form.linear_layers import divide, largest, recover_layer_inputs
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.errors import LabError
from lab.federated.networks.base import Activation
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.squeezenet import SqueezeNet
from lab.federated.observation import LabelSource, Observation
from lab.randomness import stream

SHAPE = (3, 8, 8)
INVERTIBLE = [Activation.RELU, Activation.LEAKY_RELU, Activation.SIGMOID, Activation.TANH]


def attack(observation, **options):
    """The only state of the analytic attack."""
    states = list(Analytic(**options).reconstruct(observation, stream(0, "unused")))
    assert len(states) == 1
    return states[0]


def chain(network, batch, unbiased):
    """An observation of an MLP whose layers at these positions (from below) have no bias."""
    observation = observe(network, batch)
    layers = [module for module in observation.network.head if isinstance(module, nn.Linear)]
    for position in unbiased:
        layers[position].bias = None
    return replace(observation, update=observation.protocol.update(observation.network, batch.images, batch.labels))


def direction_cosine(one, other):
    return float(torch.cosine_similarity(one.flatten(), other.flatten(), dim=0))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    depth=st.integers(1, 4),
    width=st.integers(12, 80),
    activation=st.sampled_from(list(Activation)),
    seed=st.integers(0, 10_000),
)
def test_every_biased_chain_gives_the_picture_away(depth, width, activation, seed):
    batch = random_batch(1, SHAPE, seed=seed)
    observation = observe(MLP(depth=depth, width=width, activation=activation), batch, seed=seed)
    state = attack(observation)
    assert state.outcome is ClosedFormOutcome.EXACT
    assert float((state.candidate - batch.images).abs().max()) < 1e-5


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    depth=st.integers(2, 4),
    width=st.integers(12, 80),
    activation=st.sampled_from(INVERTIBLE),
    unbiased=st.sets(st.integers(0, 2), min_size=1),
    seed=st.integers(0, 10_000),
)
def test_layers_without_a_bias_follow_from_a_biased_one_above(depth, width, activation, unbiased, seed):
    batch = random_batch(1, SHAPE, seed=seed)
    lower = {position for position in unbiased if position < depth - 1}
    observation = chain(MLP(depth=depth, width=width, activation=activation), batch, lower)
    state = attack(observation)
    assume(state.outcome is not ClosedFormOutcome.DEAD_UNITS)
    assert state.outcome is ClosedFormOutcome.EXACT
    assert float((state.candidate - batch.images).abs().max()) < 1e-5


def test_each_row_of_a_biased_layer_gives_the_same_picture():
    batch = random_batch(1, SHAPE)
    observation = observe(MLP(depth=2, width=16, activation=Activation.TANH), batch)
    for row in range(16):
        assert float((attack(observation, row=row).candidate - batch.images).abs().max()) < 1e-4


def test_division_is_the_formula():
    weight, bias = torch.tensor([[2.0, 4.0], [9.0, 3.0]]), torch.tensor([2.0, -3.0])
    assert divide(weight, bias, 0).tolist() == [1.0, 2.0]
    assert largest(bias) == 1


def test_readings_go_from_top_to_bottom_and_give_every_layer_input():
    batch = random_batch(1, SHAPE)
    observation = observe(MLP(depth=3, width=16), batch)
    head, values = observation.network.head, observation.network.embed(batch.images)
    inputs = [values, head[:2](values), head[:4](values)]
    readings = recover_layer_inputs(observation)
    assert [reading.name for reading in readings] == ["head.4", "head.2", "head.0"]
    for reading, expected in zip(readings, inputs[::-1], strict=True):
        torch.testing.assert_close(reading.recovered_input, expected[0].detach(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("classes", [2, 10])
def test_without_any_bias_only_the_scale_is_lost(activation, depth, classes):
    batch = random_batch(1, SHAPE, classes)
    observation = observe(MLP(depth=depth, width=24, bias=False, activation=activation), batch, classes=classes)
    state = attack(observation)
    assert state.outcome is ClosedFormOutcome.UP_TO_SCALE
    truth = observation.network.normalise(batch.images)
    assert direction_cosine(state.features, truth) > 0.9999


def test_a_batch_is_a_mixture():
    batch = random_batch(3, SHAPE)
    state = attack(observe(MLP(depth=2, width=16), batch))
    assert state.outcome is ClosedFormOutcome.MIXTURE
    assert state.candidate.shape == batch.images.shape
    assert float((state.candidate - batch.images).abs().max()) > 0.05


def test_a_row_that_one_picture_alone_activates_is_pure():
    """A mixture's weights are the units' slopes, so a ReLU that is silent for all but one gives that one."""
    batch = random_batch(2, SHAPE)
    observation = observe(MLP(depth=2, width=64), batch)
    with torch.no_grad():
        active = observation.network.head[:2](observation.network.embed(batch.images)) > 0
    row = int((active[0] & ~active[1]).nonzero()[0])
    state = attack(observation, row=row)
    assert state.outcome is ClosedFormOutcome.MIXTURE
    torch.testing.assert_close(state.candidate[0], batch.images[0], rtol=0, atol=1e-5)


def test_silent_units_leave_nothing_to_read():
    batch = random_batch(1, SHAPE)
    observation = observe(MLP(depth=2, width=16), batch)
    with torch.no_grad():
        observation.network.head[0].bias.fill_(-100.0)
    silent = replace(observation, update=observation.protocol.update(observation.network, batch.images, batch.labels))
    assert attack(silent).outcome is ClosedFormOutcome.DEAD_UNITS


def test_noise_is_seen_in_the_residual():
    batch = random_batch(1, SHAPE)
    observation = observe(MLP(depth=2, width=16), batch)
    noisy = GaussianNoise(strength=0.05).apply(observation.update, stream(0, "noise"))
    state = attack(replace(observation, update=noisy))
    assert state.outcome is ClosedFormOutcome.INCONSISTENT
    assert state.terms["residual"] > 1e-2


@pytest.mark.parametrize("network", [LeNet(), SmallConvNet(width=4)], ids=lambda n: n.name)
def test_below_convolutions_the_features_are_right_and_the_picture_is_not_claimed(network):
    batch = random_batch(1)
    observation = observe(network, batch)
    state = attack(observation)
    assert state.outcome is ClosedFormOutcome.FEATURES_ONLY
    torch.testing.assert_close(state.features, observation.network.embed(batch.images).detach(), rtol=1e-4, atol=1e-5)
    assert torch.equal(state.candidate, torch.full_like(batch.images, 0.5))


def test_a_network_without_a_linear_layer_is_named():
    observation = observe(SqueezeNet(), random_batch(1, (3, 64, 64)))
    assert attack(observation).outcome is ClosedFormOutcome.NO_LINEAR_LAYER


def test_a_row_that_cannot_be_divided_by_is_an_error_with_a_hint():
    batch = random_batch(1, SHAPE)
    observation = observe(MLP(depth=2, width=16), batch)
    slopes = observation.update["head.0.bias"]
    silent = int((slopes == 0).nonzero()[0])
    with pytest.raises(LabError, match=rf"unit {silent} is silent .* try {largest(slopes)}\."):
        attack(observation, row=silent)
    with pytest.raises(LabError, match=r"row = 16 is out of range; this layer has the units 0 to 15\."):
        attack(observation, row=16)


def test_labels_are_read_off_where_they_are_inferred():
    batch = random_batch(1, SHAPE, labels=[7])
    observation = observe(MLP(depth=2, width=16), batch, source=LabelSource.INFERRED)
    state = attack(observation)
    assert isinstance(observation, Observation)
    assert state.labels.tolist() == [7]


def test_the_error_that_is_reported_is_that_of_the_pixels():
    batch = random_batch(1, SHAPE)
    observation = observe(MLP(depth=3, width=32), batch)
    scores = score(as_round(batch, observation), attack(observation))
    assert scores.max_abs_error < 1e-5
    assert scores.psnr_db > 90
