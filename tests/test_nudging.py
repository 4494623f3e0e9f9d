"""The option that moves an attack's start does move it, by no more than a rounding, and leaves no trace."""

from itertools import islice

import pytest
import torch
from nudging import nudge
from rounds import observe, smooth_batch

from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.settings import Start
from lab.attacks.recursive import Recursive
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.machine import resources, threads
from lab.options.catalogue import entries
from lab.randomness import stream

SLIM = SmallConvNet(width=8)
pytestmark = pytest.mark.unnudged("it nudges for itself")


def states(attack, count, network=SLIM, dtype=torch.float32):
    observation = observe(network, smooth_batch(dtype=dtype))
    return [state.candidate for state in islice(attack.reconstruct(observation, stream(0, "candidate")), count)]


@pytest.fixture
def under(monkeypatch):
    """What is asked under a nudge; after it all is as it was."""

    def ask(seed, question):
        with monkeypatch.context() as patch:
            nudge(patch, seed)
            return question()

    return ask


def apart(one, other):
    return float((one - other).abs().max())


@pytest.mark.parametrize("start", Start)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_start_moves_by_a_rounding_and_the_run_parts(under, start, dtype):
    attack = GradientMatching(iterations=30, start=start)
    still, moved, other = (
        states(attack, 32, dtype=dtype),
        *(under(seed, lambda: states(attack, 32, dtype=dtype)) for seed in (0, 2)),
    )
    size = min(1e-7, torch.finfo(dtype).eps)
    for one, another in ((still, moved), (moved, other)):
        assert 0 < apart(one[0], another[0]) < 20 * size
        assert apart(one[-1], another[-1]) > 100 * size, "what begins elsewhere ends elsewhere"
    assert apart(still[-1], states(attack, 32, dtype=dtype)[-1]) == 0, "afterwards nothing is nudged"


def test_one_seed_moves_two_attacks_alike(under):
    attack = GradientMatching(iterations=5)
    one, other = (under(4, lambda: states(attack, 7)) for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_the_algebra_moves_too(under):
    """Where it asks the weights: a first layer's ratio is two shared numbers, and has nothing that could fall either way."""
    attack = Recursive(hand_over=False)
    still, moved = states(attack, 99, LeNet())[-1], under(0, lambda: states(attack, 99, LeNet())[-1])
    assert apart(still, moved) > 0


@pytest.mark.parametrize("name", entries("attack"))
def test_every_attack_of_the_catalogue_begins_with_moved_weights_and_the_clients_stay(under, name, monkeypatch):
    attack, network = entries("attack")[name], MLP(width=8)
    observation, seen = observe(network, smooth_batch()), []
    before = [weights.clone() for weights in observation.network.parameters()]
    monkeypatch.setattr(attack, "reconstruct", lambda self, observation, generator: seen.append(observation.network))
    under(0, lambda: attack().reconstruct(observation, stream(0, "candidate")))
    assert all(torch.equal(*pair) for pair in zip(before, observation.network.parameters(), strict=True))
    for old, new in zip(before, seen[0].parameters(), strict=True):
        assert not torch.equal(old, new)
        torch.testing.assert_close(old, new, rtol=1e-6, atol=0.0)


def test_an_odd_seed_computes_with_two_threads_and_an_even_one_with_one(under, monkeypatch):
    monkeypatch.setattr(resources, "usable_cores", lambda: 8)
    tiny = observe(MLP(width=8), smooth_batch()).network
    assert [under(seed, lambda: (torch.get_num_threads(), threads.threads_for(tiny))) for seed in (0, 1)] == [(1, 1), (2, 2)]
