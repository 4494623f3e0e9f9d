"""The first layer's input after local steps: against torch's own optimisers, in float64 to the last digits."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rounds import as_round, observe, random_batch
from torch.nn import functional

from lab.attacks.analytic import Analytic
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.recursive import Recursive
from lab.evaluation.derivation import derive
from lab.federated.networks.base import Activation
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.protocols.fedavg import FedAvg
from lab.randomness import stream

SHAPE = (3, 8, 8)
SUMS_OF_GRADIENTS = [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"momentum": 0.5, "dampening": 0.3}]
EXACT_OUTCOMES = (
    ClosedFormOutcome.UNMOVED_INPUT,
    ClosedFormOutcome.EXACT,
    ClosedFormOutcome.PEELED,
    ClosedFormOutcome.STRAIGHTENED,
    ClosedFormOutcome.SET_APART,
)


def trained(network, batch, make, steps):
    """How a torch optimiser changes the weights on this batch."""
    model = deepcopy(network)
    optimiser = make(model.parameters())
    for _ in range(steps):
        optimiser.zero_grad()
        functional.cross_entropy(model(batch.images), batch.labels).backward()
        optimiser.step()
    start = dict(network.named_parameters())
    return {name: (tensor - start[name]).detach() for name, tensor in model.named_parameters()}


def after(network, batch, make, steps, rate):
    """What the server sees where it takes the client for one of plain steps."""
    observed = observe(network, batch, FedAvg(local_steps=steps, learning_rate=rate))
    return replace(observed, update=trained(observed.network, batch, make, steps))


def end(attack, observed):
    *_, last = attack.reconstruct(observed, stream(0, "unused"))
    return last


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    options=st.sampled_from(SUMS_OF_GRADIENTS),
    steps=st.integers(2, 50),
    rate=st.sampled_from([1e-4, 1e-2, 0.1]),
    depth=st.integers(1, 3),
    activation=st.sampled_from(list(Activation)),
    seed=st.integers(0, 1000),
)
def test_sums_of_gradients_leave_the_input_exact(options, steps, rate, depth, activation, seed):
    batch = random_batch(1, SHAPE, seed=seed, dtype=torch.float64)
    network = MLP(depth=depth, width=24, activation=activation)
    observed = after(network, batch, lambda weights: torch.optim.SGD(weights, lr=rate, **options), steps, rate)
    state = end(Analytic(), observed)
    assert float((state.candidate - batch.images).abs().max()) < 1e-8
    assert state.outcome in (ClosedFormOutcome.UNMOVED_INPUT, ClosedFormOutcome.UNCONFIRMED_RATIO)
    if not options:
        assert state.outcome is ClosedFormOutcome.UNMOVED_INPUT
        assert f"{steps} local steps" in state.note


@pytest.mark.parametrize("attack", [Analytic(), Recursive(hand_over=False)], ids=lambda attack: attack.name)
@pytest.mark.parametrize("rate", [1e-2, 0.1])
def test_in_single_precision_it_is_said_to_be_exact_and_is(attack, rate):
    batch = random_batch(1)
    observed = observe(MLP(), batch, FedAvg(local_steps=16, learning_rate=rate))
    state = end(attack, observed)
    assert state.outcome is ClosedFormOutcome.UNMOVED_INPUT
    assert float((state.candidate - batch.images).abs().max()) < 1e-3


@pytest.mark.parametrize(
    ("make", "allowed"),
    [
        (
            lambda weights: torch.optim.Adam(weights, lr=1e-3),
            (ClosedFormOutcome.UNCONFIRMED_RATIO, ClosedFormOutcome.INCONSISTENT),
        ),
        (
            lambda weights: torch.optim.AdamW(weights, lr=1e-3),
            (ClosedFormOutcome.UNCONFIRMED_RATIO, ClosedFormOutcome.INCONSISTENT),
        ),
        (
            lambda weights: torch.optim.RMSprop(weights, lr=1e-3),
            (ClosedFormOutcome.UNCONFIRMED_RATIO, ClosedFormOutcome.INCONSISTENT),
        ),
        (lambda weights: torch.optim.SGD(weights, lr=1e-2, weight_decay=0.1), (ClosedFormOutcome.INCONSISTENT,)),
    ],
    ids=["adam", "adamw", "rmsprop", "weight decay"],
)
@pytest.mark.parametrize("steps", [2, 20])
def test_steps_that_are_no_sums_of_gradients_are_never_called_exact(make, allowed, steps):
    batch = random_batch(1, SHAPE, dtype=torch.float64)
    observed = after(MLP(depth=2, width=24), batch, make, steps, 1e-2)
    state = end(Analytic(), observed)
    assert float((state.candidate - batch.images).abs().max()) > 1e-2
    assert state.outcome in allowed
    assert end(Recursive(hand_over=False), observed).outcome not in EXACT_OUTCOMES


@pytest.mark.parametrize("activation", [Activation.RELU, Activation.TANH])
def test_below_moving_layers_the_features_are_approximate_and_said_to_be(activation):
    batch = random_batch(1, dtype=torch.float64)
    observed = observe(SmallConvNet(width=4, activation=activation), batch, FedAvg(local_steps=8, learning_rate=0.05))
    state = end(Analytic(), observed)
    assert state.outcome is ClosedFormOutcome.AFTER_LOCAL_STEPS
    assert float((state.features - observed.network.embed(batch.images)).detach().abs().max()) > 1e-6


def test_a_first_layer_without_a_bias_is_not_called_exact():
    """Its dL/dz comes from above, where the weights did move."""
    batch = random_batch(1, SHAPE, dtype=torch.float64)
    observed = observe(MLP(depth=2, width=24, bias=False), batch, FedAvg(local_steps=8, learning_rate=0.1))
    assert end(Analytic(), observed).outcome is ClosedFormOutcome.UP_TO_SCALE


@pytest.mark.parametrize("network", [MLP(depth=2, width=24), SmallConvNet(width=4)], ids=lambda network: network.name)
def test_the_algebra_panel_counts_local_steps_as_a_failure_only_below_moving_layers(network):
    batch = random_batch(1)
    observed = observe(network, batch, FedAvg(local_steps=8, learning_rate=0.05))
    derivation = derive(as_round(batch, observed))
    (steps,) = [condition for condition in derivation.conditions if condition.title == "Local steps"]
    exact = derivation.max_abs_error < 1e-3
    assert steps.applies is not exact
    assert ("approximate" in steps.sentence) is not exact
    assert (derivation.outcome is ClosedFormOutcome.UNMOVED_INPUT) is exact
