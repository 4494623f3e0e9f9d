"""The top-heavy cosine: balanced, and louder from tensor to tensor."""

import pytest
import torch
from rounds import observe, smooth_batch

from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.distances.balanced_cosine import BalancedCosine
from lab.attacks.matching.distances.top_heavy_cosine import TopHeavyCosine
from lab.federated.networks.convnet import ConvNet
from lab.modalities.images.scores import psnr_db
from lab.randomness import stream


def updates(*sizes, seed=0):
    generator = stream(seed, "x")
    return {str(index): torch.randn(size, generator=generator, dtype=torch.float64) for index, size in enumerate(sizes)}


def test_without_emphasis_it_is_the_balanced_cosine():
    shared, candidate = updates(3, 50, 200), updates(3, 50, 200, seed=1)
    shared["0"] *= 40
    found = TopHeavyCosine(emphasis=1.0)(candidate, shared)
    torch.testing.assert_close(found, BalancedCosine()(candidate, shared))


def test_the_emphasis_grows_evenly_from_first_to_last():
    """Three tensors of one number, alike loud: squares weighted 1, 10, 100; a candidate that knows only one of them."""
    shared = {name: torch.ones(1).double() for name in "abc"}
    for known, weight in zip("abc", (1, 10, 100), strict=True):
        candidate = {name: tensor * (name == known) for name, tensor in shared.items()}
        value = float(TopHeavyCosine(emphasis=100.0)(candidate, shared))
        assert value == pytest.approx(1 - (weight / 111) ** 0.5)


def test_the_closed_form_is_the_derivative():
    shared, candidate = updates(4, 60, 300), updates(4, 60, 300, seed=1)
    shared["0"] *= 40
    leaves = {name: tensor.requires_grad_() for name, tensor in candidate.items()}
    value = TopHeavyCosine()(leaves, shared)
    expected = torch.autograd.grad(value, list(leaves.values()))
    found, slopes = TopHeavyCosine().value_and_gradient(candidate, shared)
    torch.testing.assert_close(found, value.detach())
    torch.testing.assert_close(list(slopes.values()), list(expected))


def test_one_tensor_is_the_only_one_heard():
    shared, candidate = updates(7), updates(7, seed=1)
    torch.testing.assert_close(TopHeavyCosine()(candidate, shared), BalancedCosine()(candidate, shared))


def test_on_a_deep_kinked_network_it_finds_more_than_balance_alone():
    """The very same search, twice, on two soft pictures; a narrow ConvNet keeps it short."""
    network = ConvNet(width=16)
    ends = {}
    for distance in (BalancedCosine(), TopHeavyCosine()):
        found = []
        for seed in (0, 1):
            batch = smooth_batch(1, seed=seed)
            attack = GradientMatching(distance=distance, iterations=100)
            *_, last = attack.reconstruct(observe(network, batch), stream(0, "candidate"))
            found.append(float(psnr_db(last.candidate, batch.images).mean()))
        ends[distance.name] = sum(found) / 2
    assert ends["top_heavy_cosine"] > ends["balanced_cosine"] + 1, ends
