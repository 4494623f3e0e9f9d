"""Soft max-poolings: at no temperature the client's own chain, at the private picture a match, and where they are barred."""

from dataclasses import replace

import pytest
import torch
from of_pictures import of_pictures
from rounds import smooth_batch
from torch import nn

import lab
from lab.attacks.matching.softened import SoftMaxPool, Temperature, is_softened, softened
from lab.attacks.matching.softened_body import softened_body
from lab.attacks.soft_pooling import SoftPooling
from lab.client.datasets.gallery import Gallery
from lab.federated.networks.base import Activation
from lab.federated.networks.vgg11 import VGG11
from lab.randomness import stream

POOLINGS = [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d((3, 2), (1, 2), (1, 0)), nn.MaxPool2d(5)]


def seen_by_server(network=None, pictures=1, protocol=None, size=32):
    network = network or lab.FlowerNet()
    built = network.build((3, size, size), 10, stream(0, "weights"))
    batch, rule = smooth_batch(pictures, size), protocol or lab.FedSGD()
    labels = torch.arange(pictures)
    observation = lab.Observation(
        network=built,
        protocol=rule,
        update=rule.update(built, batch.images, labels),
        input_shape=(3, size, size),
        batch_size=pictures,
        label_source=lab.LabelSource.KNOWN,
        labels=labels,
    )
    return observation, batch.images


@pytest.mark.parametrize("pooling", POOLINGS, ids=str)
def test_a_soft_pooling_becomes_the_hard_one_as_it_cools(pooling):
    values, temperature = torch.randn(2, 3, 11, 12, generator=stream(0, "values")), Temperature(0.0)
    soft, hard = SoftMaxPool(pooling, temperature), pooling(values)
    assert torch.equal(soft(values), hard)
    gaps = []
    for temperature.value in (1.0, 0.1, 0.01, 0.001):
        assert soft(values).shape == hard.shape
        assert (soft(values) <= hard + 1e-5).all()
        gaps.append(float((soft(values) - hard).abs().max()))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 1e-2


@pytest.mark.parametrize("network", of_pictures("network").values(), ids=of_pictures("network"))
def test_a_cold_chain_is_the_clients_own(network):
    """Of every network of the catalogue that can be made soft; the layers are reordered, never renamed."""
    size = 32 if network is not VGG11 else 64
    body = (network() if network is not VGG11 else VGG11(units=16)).build((3, size, size), 10, stream(0, "weights")).features
    assert is_softened(body) is (network in (lab.FlowerNet, lab.ConvNet, VGG11))
    if is_softened(body):
        values = expected = torch.randn(1, 3, size, size, generator=stream(0, "pictures"))
        for layer in softened(body, Temperature(0.0)):
            values = layer(values)
        assert torch.allclose(values, body(expected), atol=1e-6)


@pytest.mark.parametrize("activation", [Activation.RELU, Activation.LEAKY_RELU])
@pytest.mark.parametrize("pictures", [1, 3])
@pytest.mark.parametrize("rule", [lab.FedSGD(), lab.FedAvg(local_steps=1, learning_rate=0.1)], ids=["gradient", "change"])
def test_the_private_pictures_match_and_others_do_not(rule, pictures, activation):
    """At no temperature: what is read off the head is exact, of a change of weights that lost digits to rounding, too."""
    observation, images = seen_by_server(lab.FlowerNet(activation=activation), pictures, rule)
    body = softened_body(observation)
    assert body is not None or activation is Activation.LEAKY_RELU
    if body is not None:
        assert float(body.match(images).detach()) < 1e-4
        assert float(body.match(0.9 * images + 0.05).detach()) > 1e-3


@pytest.mark.parametrize(
    "barred",
    [
        {"network": lab.SmallConvNet(width=8)},
        {"protocol": lab.FedAvg(local_steps=2)},
        {"network": lab.FlowerNet(activation=Activation.SIGMOID)},
    ],
    ids=["no pooling", "local steps", "no ReLU"],
)
def test_where_it_is_barred_a_head_start_takes_over(barred):
    observation, _ = seen_by_server(**barred)
    assert softened_body(observation) is None
    *_, last = SoftPooling(iterations=2).reconstruct(observation, stream(0, "candidate"))
    assert last.outcome


def test_silence_is_no_match():
    observation, _ = seen_by_server()
    silent = replace(observation, update={name: torch.zeros_like(tensor) for name, tensor in observation.update.items()})
    *_, last = SoftPooling(iterations=2).reconstruct(silent, stream(0, "candidate"))
    assert last.outcome


@pytest.mark.slow
def test_the_net_of_flowers_quick_start_gives_a_picture_away():
    """At full iterations, one picture, one step; the default of matching ends where nobody recognises it."""
    network = lab.FlowerNet()
    experiment = lab.Experiment(network=network, dataset=Gallery(), attack=SoftPooling(), protocol=lab.FedSGD())
    attacked = lab.simulate_round(experiment)
    *_, last = lab.attack(attacked.observation)
    *_, plain = lab.attack(attacked.observation, lab.GradientMatching())
    assert lab.score(last, attacked).verdict is lab.Verdict.RECOGNISABLE
    assert lab.score(plain, attacked).psnr_db + 1 < lab.score(last, attacked).psnr_db


@pytest.mark.slow
def test_two_pictures_come_out_of_one_change_of_weights():
    """As a client of Flower's quick-start sends it, labels untold."""
    client = lab.FedAvg(local_steps=1, learning_rate=0.1)
    experiment = lab.Experiment(network=lab.FlowerNet(), protocol=client, batch_size=2, labels=lab.LabelSource.INFERRED)
    attacked = lab.simulate_round(experiment)
    *_, last = lab.attack(attacked.observation, SoftPooling())
    assert lab.score(last, attacked).verdict is lab.Verdict.RECOGNISABLE
