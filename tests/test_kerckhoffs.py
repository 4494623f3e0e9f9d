"""An attacker has the defence's code: for each of the catalogue the recommended attack reads it, and loses nothing by it."""

from dataclasses import replace

import pytest
import torch
from rounds import observe, random_batch

from lab import Experiment
from lab.attacks.gradient_matching import GradientMatching
from lab.client.datasets.gallery import Gallery
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.client.defences.mixup import Mixup
from lab.client.defences.quantisation import Quantisation
from lab.client.defences.top_k import TopK
from lab.client.defending import server_view, trained
from lab.evaluation.scoring import score
from lab.experiments.recommended import recommended_for
from lab.experiments.rounds import reconstruct, simulate_round
from lab.federated.mixing import WEIGHTS, Mixing
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.updates import flat
from lab.options.catalogue import entries
from lab.randomness import stream

FIXED = Experiment(dataset=Gallery(first="cat"), network=SmallConvNet(width=8))
SMALLEST = 0.02
"""Of SSIM: a difference below it is no loss."""
DEFENCES = {
    **{name: (entry(),) for name, entry in entries("defence").items() if entry is not Mixup},  # which has its own below
    "three bits by chance": (Quantisation(bits=3, stochastic=True),),
    "noise": (GaussianNoise(strength=1.0),),
}
ASKED = {
    "top-k with error feedback": (5, TopK(strength=0.99)),
    "three bits by chance": (5, Quantisation(bits=3, stochastic=True)),
    "signs by chance": (20, Quantisation(bits=1, stochastic=True)),
}
"""How often, and of what: one update of signs by chance shows neither attacker anything."""


def likeness(experiment, iterations=40):
    """SSIM of the naive attack and of the recommended one."""
    recommended, attacked = recommended_for(experiment), simulate_round(experiment)
    assert recommended.reading, "what is recommended reads what was done"
    found = []
    for reading in (False, True):
        attack = replace(recommended, iterations=iterations, reading=reading)
        *_, last = reconstruct(replace(experiment, attack=attack), attacked.observation)
        found.append(score(last, attacked).ssim)
    return found


@pytest.mark.parametrize("name", DEFENCES)
def test_who_knows_a_defence_is_no_worse_than_who_does_not(name):
    naive, knowing = likeness(replace(FIXED, defences=DEFENCES[name]))
    assert knowing > naive - SMALLEST, (naive, knowing)


@pytest.mark.parametrize("name", ASKED)
def test_nor_where_the_mean_of_several_rounds_is_read(name):
    """What few sizes and zeros mean in one update they do not mean in a mean."""
    rounds, defence = ASKED[name]
    naive, knowing = likeness(replace(FIXED, defences=(defence,), rounds=rounds))
    assert knowing > naive - SMALLEST, (naive, knowing)


def test_two_inputs_mixed_as_the_client_mixed_them_send_what_was_sent():
    """Truth: the defence itself; by one of the two orders that it draws nothing is mixed."""
    batch = random_batch(2, (3, 8, 8), dtype=torch.float64)
    network = observe(MLP(depth=2, width=8), batch).network
    ways = set()
    for seed in range(4):
        sent = flat(trained([Mixup()], FedSGD(), network, batch, stream(seed, "defence")))
        off = {}
        for weight in torch.linspace(0.5, 1, 51).tolist():
            found = Mixing(FedSGD(), weight, told=True).update(network, batch.images, batch.labels)
            off[weight] = float((flat(found) - sent).norm() / sent.norm())
        assert min(off.values()) < 2e-2
        ways.add(min(off, key=off.__getitem__) == 1)
    assert ways == {True, False}


def test_what_is_simulated_of_mixing_is_what_can_be():
    told = server_view([Mixup()], FedSGD(), 2)
    assert [guess.weight for guess in told.guesses()] == list(WEIGHTS)
    assert told.guesses()[1].guesses() == (told.guesses()[1],)
    for defence, pictures, asked in ((Mixup(), 3, 1), (Mixup(strength=0.0), 2, 1), (Mixup(), 2, 5)):
        assert server_view([defence], FedSGD(), pictures, asked) == FedSGD()
    assert server_view([Mixup()], FedAvg(local_steps=2), 2) == FedAvg(local_steps=2)
    assert len(server_view([Mixup()], FedAvg(local_steps=1), 2).guesses()) == len(WEIGHTS)


def test_who_knows_that_two_pictures_were_mixed_finds_more(monkeypatch):
    experiment = replace(FIXED, batch_size=2, defences=(Mixup(),), seed=2)
    naive, knowing = likeness(experiment)
    assert knowing > naive + 0.05
    monkeypatch.setattr("lab.attacks.matching.protocol_inference.TRIAL_STEPS", 1)
    attacked = simulate_round(experiment)
    *_, last = GradientMatching(iterations=2).reconstruct(attacked.observation, stream(0, "candidate"))
    assert last.note.startswith("How the client mixed its two inputs was not told; of 6 tried, ")
    *_, last = GradientMatching(iterations=2, reading=False).reconstruct(attacked.observation, stream(0, "candidate"))
    assert "mixed" not in last.note
