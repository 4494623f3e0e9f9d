"""Matching the mean gradient: one local step's work, whatever the client did, and the same picture while steps are small."""

import pytest
import torch
from rounds import as_round, observe, smooth_batch

from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.mean_gradient import MeanGradient
from lab.distances.euclidean import Euclidean
from lab.evaluate import score
from lab.gradients import parameter_gradient
from lab.networks.small_convnet import SmallConvNet
from lab.protocols.fedavg import FedAvg
from lab.protocols.fedsgd import FedSGD

NETWORK = SmallConvNet(width=8)


def last(attack, observation):
    *_, state = attack.reconstruct(observation, torch.Generator().manual_seed(0))
    return state


def passes(network, attack, observation):
    """Forward passes through the network's last layer, of the whole attack."""
    counted = []
    hook = torch.nn.modules.module.register_module_forward_hook(
        lambda module, *_: counted.append(1) if isinstance(module, torch.nn.Linear) else None
    )
    try:
        last(attack, observation)
    finally:
        hook.remove()
    return len(counted)


def test_its_work_does_not_grow_with_the_local_steps():
    batch = smooth_batch()
    few, many = (observe(NETWORK, batch, FedAvg(local_steps=steps, learning_rate=1e-4)) for steps in (1, 30))
    attack = MeanGradient(iterations=3)
    assert passes(NETWORK, attack, many) == passes(NETWORK, attack, few) > 0
    assert passes(NETWORK, GradientMatching(iterations=3), many) >= 25 * passes(NETWORK, attack, many)


def test_one_step_is_plain_matching():
    batch = smooth_batch(dtype=torch.float64)
    stepped = observe(NETWORK, batch, FedAvg(local_steps=1, learning_rate=1e-3))
    plain = last(GradientMatching(iterations=5), observe(NETWORK, batch, FedSGD()))
    torch.testing.assert_close(last(MeanGradient(iterations=5), stepped).candidate, plain.candidate, rtol=0, atol=1e-5)


def test_it_compares_one_long_step_with_what_was_sent():
    batch = smooth_batch(dtype=torch.float64)
    observation = observe(NETWORK, batch, FedAvg(local_steps=4, learning_rate=1e-2))
    first, *_ = MeanGradient(distance=Euclidean(), iterations=1).reconstruct(observation, torch.Generator().manual_seed(0))
    gradient = parameter_gradient(observation.network, first.candidate, observation.labels)
    gaps = (-0.04 * gradient[name] - sent for name, sent in observation.update.items())
    assert first.terms["distance"] == pytest.approx(sum(float(gap.square().sum()) for gap in gaps), rel=1e-6)


def quality(attack, rate):
    batch = smooth_batch()
    observation = observe(NETWORK, batch, FedAvg(local_steps=5, learning_rate=rate))
    return score(as_round(batch, observation), last(attack, observation)).psnr_db


def test_while_steps_are_small_it_is_as_good_as_simulating_them():
    own, simulated = (quality(attack(iterations=100), 1e-4) for attack in (MeanGradient, GradientMatching))
    assert own > simulated - 2


def test_large_steps_cost_quality():
    assert quality(MeanGradient(iterations=100), 1e-4) > quality(MeanGradient(iterations=100), 0.5) + 3
