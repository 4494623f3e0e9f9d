"""Bounds on what an attack may find behind noise: against attacks that know all, that know nothing, and the lab's own."""

import math
from dataclasses import replace

import pytest
import torch

from lab.attacks.analytic import Analytic
from lab.attacks.gradient_matching import GradientMatching
from lab.client.datasets.digits import Digits
from lab.client.datasets.published import Split
from lab.client.defences.dp_sgd import DPSGD
from lab.commands import federating
from lab.commands.federation_attack import UpdateSelection
from lab.evaluation.scoring import score
from lab.experiments.rounds import attack
from lab.federated.gradients import trainable
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.protocols.fedsgd import FedSGD
from lab.federation.server_views import observe_client
from lab.federation.settings import Federation
from lab.federation.shards import Shards
from lab.federation.training import federate
from lab.modalities.images.privacy_bounds import bound_with_prior_db, bound_without_prior_db, hit
from lab.randomness import stream


def digits(count):
    pixels, labels = Digits().everything(Split.TRAIN)
    return pixels[:count].float() / 255, labels[:count]


@pytest.mark.parametrize("multiplier", [0.2, 0.5, 1.0])
def test_whoever_knows_all_candidates_and_the_network_hits_no_more_often_than_allowed(multiplier):
    """Truth: the likeliest of 64 candidates, the best attack that there is; and with little noise it nearly gets there."""
    count, trials = 64, 40
    pictures, labels = digits(count)
    network = MLP(depth=1).build((1, 8, 8), 10, stream(0, "weights"))
    single = FedSGD().rule.each(network, trainable(network), pictures, torch.zeros_like(labels))
    flat = torch.cat([tensor.flatten(1) for tensor in single.values()], 1)
    clipped = flat / flat.norm(dim=1, keepdim=True)
    noise = torch.randn(trials, *flat.shape, generator=stream(1, "noise"))
    seen = clipped + multiplier * noise
    hits = torch.stack([torch.cdist(one, clipped).argmin(1) == torch.arange(count) for one in seen]).double().mean()
    allowed = hit(1 / count, multiplier, 1)
    assert 1 / count < float(hits) <= allowed
    assert hit(1 / count, multiplier, 4) == pytest.approx(hit(1 / count, multiplier / 2, 1))


def test_a_blind_guess_is_allowed_what_it_hits_and_no_noise_bounds_nothing():
    assert hit(0.3, 1e9, 1) == pytest.approx(0.3, abs=1e-6)
    pictures, _ = digits(300)
    assert bound_with_prior_db(pictures, 0.0, 1) == math.inf
    bounds = [bound_with_prior_db(pictures, multiplier, 1) for multiplier in (0.01, 1.0, 3.0, 10.0)]
    assert bounds == sorted(bounds, reverse=True)
    assert bound_without_prior_db(pictures[0], 0.0, 1) == math.inf
    assert bound_without_prior_db(pictures[0], 2.0, 4) == bound_without_prior_db(pictures[0], 1.0, 1)


def test_the_best_linear_reading_comes_as_near_as_the_bound_without_a_prior_says():
    """Truth: a sum of the pixels is the loss, so that the gradient is the picture: nothing reads it better."""
    picture = digits(1)[0][0]
    for multiplier in (0.05, 0.5):
        sent = picture / picture.norm() + multiplier * torch.randn(400, 1, 8, 8, generator=stream(0, "noise"))
        error = (sent * picture.norm() - picture).square().mean(dim=(1, 2, 3)).mean()
        assert -10 * math.log10(float(error)) == pytest.approx(bound_without_prior_db(picture, multiplier, 1), abs=0.2)


ATTACKS = {"analytic": (MLP(depth=1), Analytic()), "matching": (SmallConvNet(width=4), GradientMatching(iterations=12))}


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("multiplier", [0.7, 2.0])
def test_no_measured_picture_lies_above_its_bound(name, multiplier):
    """Eight clients of one picture each under DP-SGD; the pictures of the federation are what may be known."""
    network, attacked = ATTACKS[name]
    settings = Federation(
        network=network, clients=8, rounds=1, pictures=1, protocol=FedSGD(), defences=(DPSGD(multiplier=multiplier),)
    )
    shards = Shards.of(settings)
    (played,) = federate(settings)
    bound = bound_with_prior_db(shards.known(2000), multiplier, 1)
    for client in played.sent:
        seen = observe_client(shards, played, client)
        *_, last = attack(seen.observation, attacked)
        assert score(last, seen).psnr_db <= bound


def test_the_command_draws_the_bounds_under_the_run(tmp_path):
    settings = Federation(
        network=MLP(width=8), clients=3, rounds=1, pictures=1, protocol=FedSGD(), defences=(DPSGD(multiplier=3.0),)
    )
    told = federating.run(settings, tmp_path, UpdateSelection(1, 2, 1), "analytic")
    assert "No attack that knows that the picture is one of the federation's finds it at more than" in told
    assert "the best that knows nothing of pictures, not even their range, is expected at" in told
    told = federating.run(
        replace(settings, defences=(DPSGD(multiplier=0.1),)), tmp_path / "loud", UpdateSelection(1, 2, 1), "analytic"
    )
    assert "An attack that knows all pictures of the federation is not bounded by so little noise" in told
