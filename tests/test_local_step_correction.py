"""Local steps undone, against the client's own first gradient, its float64 twin and the truth."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rounds import observe, random_batch, smooth_batch

from lab.attacks.closed_form.local_steps import STAGNATION, without_drift
from lab.attacks.closed_form.mismatch import in_double
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.recursive import Recursive
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.rounding import rounding
from lab.modalities.images.scores import psnr_db
from lab.randomness import stream


def relative(mine, wanted):
    wrong = sum(float((mine[name].double() - wanted[name].double()).square().sum()) for name in wanted)
    return math.sqrt(wrong / sum(float(tensor.double().square().sum()) for tensor in wanted.values()))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 6), st.integers(1, 3), st.sampled_from((1e-4, 1e-2, 0.1)), st.sampled_from((LeNet(), MLP(width=8))))
def test_the_drift_of_the_private_pictures_leaves_their_gradient_at_the_shared_weights(steps, pictures, rate, network):
    batch = random_batch(pictures)
    observed = observe(network, batch, FedAvg(local_steps=steps, batch_size=1, learning_rate=rate))
    precise = in_double(observed)
    pixels = batch.images.double()
    exact = observed.protocol.update(precise.network, pixels, batch.labels)
    straight = without_drift(replace(precise, update=exact), pixels)
    assert isinstance(straight.protocol, FedSGD)
    assert relative(straight.update, FedSGD().update(precise.network, pixels, batch.labels)) < 1e-9 / rate


@pytest.mark.parametrize("network", [LeNet(), SmallConvNet()])
@pytest.mark.parametrize(("steps", "rate"), [(2, 1e-4), (5, 1e-3), (1, 1e-2)])
def test_the_rounding_of_the_weights_is_foretold(network, steps, rate):
    """Truth: the same client in double precision, which rounds nine digits later."""
    batch = smooth_batch()
    observed = observe(network, batch, FedAvg(local_steps=steps, learning_rate=rate))
    exact = observed.protocol.update(in_double(observed).network, batch.images.double(), batch.labels)
    assert 0.5 < rounding(observed) / relative(observed.update, exact) < 2


@pytest.mark.parametrize(("dtype", "least_db"), [(torch.float32, 30), (torch.float64, 60)])
@pytest.mark.parametrize(("steps", "rate"), [(5, 1e-4), (2, 1e-3)])
def test_the_way_down_in_rounds_undoes_local_steps(steps, rate, dtype, least_db):
    """Weights kept in double precision leave no rounding between the picture and its update."""
    batch = smooth_batch(dtype=dtype)
    observed = observe(LeNet(), batch, FedAvg(local_steps=steps, learning_rate=rate))
    states = list(Recursive(hand_over=False).reconstruct(observed, stream(0, "candidate")))
    once = next(state for state in states if math.isfinite(state.objective))
    last = states[-1]
    assert last.outcome is ClosedFormOutcome.STRAIGHTENED
    assert f"{steps} local steps" in last.note
    assert float(psnr_db(last.candidate, batch.images)) > max(least_db, float(psnr_db(once.candidate, batch.images)) + 10)
    assert [state.iteration for state in states] == sorted(state.iteration for state in states)


def test_rounds_that_explain_less_are_not_kept():
    """At this rate the fixed point repels: what the first way down found stays."""
    observed = observe(LeNet(), smooth_batch(), FedAvg(local_steps=5, learning_rate=0.01))
    states = list(Recursive(hand_over=False).reconstruct(observed, stream(0, "candidate")))
    ends = [state for state in states if math.isfinite(state.objective)]
    assert states[-1].outcome is ClosedFormOutcome.PEEL_LOCAL_STEPS
    assert STAGNATION * states[-1].objective <= min(state.objective for state in ends)
    assert torch.isfinite(states[-1].candidate).all()
