"""Clients that train a part of their network: what is sent, what each attack makes of it, and all doors to the choice."""

from dataclasses import replace

import pytest
import torch
from of_pictures import of_pictures
from test_cost import TINY
from torch import nn

import lab
from lab.experiments import links
from lab.experiments.edits import patched
from lab.experiments.recommended import recommended_for_observation
from lab.federated.low_rank import LowRankLinear
from lab.options.catalogue import entries
from lab.options.plain import to_plain
from lab.options.text import to_text

WAYS = {"head": lab.LastLayers(), "two layers": lab.LastLayers(layers=2), "pairs": lab.LowRankPairs(rank=2)}
HEADLESS = "squeezenet"
LARGE = ("imagenet_resnet", "vgg11", "mobilenet_v3", "imagenet_vit", HEADLESS)
"""Of these an attack's steps take seconds."""
CASES = [(name, way) for name in of_pictures("network") for way in WAYS if name != HEADLESS or way == "two layers"]


def round_of(network, trains, steps=0, **others):
    protocol = lab.FedAvg(local_steps=steps, learning_rate=0.01, trains=trains) if steps else lab.FedSGD(trains=trains)
    return lab.simulate_round(lab.Experiment(network=network, protocol=protocol, **others))


@pytest.mark.parametrize(("name", "way"), CASES)
def test_what_trains_is_sent_and_nothing_else(name, way):
    """Of every network that takes pictures: the parameters without a gradient are not in the update."""
    attacked = round_of(TINY[name], WAYS[way])
    network, update = attacked.observation.network, attacked.observation.update
    trains = {own: weight for own, weight in network.named_parameters() if weight.requires_grad}
    assert set(update) == set(trains) < set(dict(network.named_parameters())) or isinstance(network.features, nn.Identity)
    assert all(tensor.shape == trains[own].shape for own, tensor in update.items())
    if way == "pairs":
        assert all(isinstance(layer, LowRankLinear) for layer in network.linear_layers.values())
        assert {own.rpartition(".")[2] for own in update} == {"down", "up"}
    if way == "head":
        assert all(own.startswith("head.") for own in update)
    if way == "two layers":
        assert len({own.rpartition(".")[0] for own in update}) == 2


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize(("name", "way"), [(name, way) for name, way in CASES if name not in LARGE])
def test_the_recommended_attack_ends_with_an_outcome(name, way, steps):
    attacked = round_of(TINY[name], WAYS[way], steps)
    chosen = recommended_for_observation(attacked.observation)
    quick = replace(chosen, iterations=2) if hasattr(chosen, "iterations") else chosen
    *_, last = lab.attack(attacked.observation, quick)
    assert last.outcome
    assert last.candidate.isfinite().all()
    assert lab.score(last, attacked).verdict


@pytest.mark.parametrize("way", ["head", "pairs"])
def test_a_network_without_fully_connected_layers_is_told_what_trains(way):
    with pytest.raises(lab.LabError, match="this network ends in none"):
        round_of(TINY[HEADLESS], WAYS[way])


def test_the_picture_of_a_fully_connected_network_comes_out_of_its_pairs():
    """And in the first round, where B is zero, no picture does: that is said."""
    told = {}
    for first_round in (False, True):
        attacked = round_of(lab.MLP(depth=2, width=64), lab.LowRankPairs(rank=4, first_round=first_round))
        *_, last = lab.attack(attacked.observation, lab.Analytic())
        told[first_round] = lab.score(last, attacked), last
    assert told[False][0].psnr_db > 60
    assert told[True][0].verdict is lab.Verdict.HIDDEN
    assert told[True][1].note


def test_what_trains_alone_sends_what_it_would_beside_the_rest():
    part, whole = (round_of(lab.SmallConvNet(width=8), way).observation.update for way in (lab.LastLayers(), lab.Everything()))
    assert part.keys() < whole.keys()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in part.items())


@pytest.mark.parametrize("trains", [*(way() for way in entries("fine_tuning").values()), *WAYS.values()], ids=to_text)
def test_each_way_passes_every_door(trains):
    """JSON, a link and the words of the command line; another protocol keeps it."""
    experiment = lab.Experiment(protocol=lab.FedSGD(trains=trains))
    assert lab.Experiment.from_plain(experiment.to_plain()) == experiment
    assert links.read(links.write(experiment)).experiment == experiment
    assert patched(lab.Experiment(), [("protocol.trains", to_plain(trains))]) == experiment
    assert patched(experiment, [("local_steps", 3)]).protocol.trains == trains
