"""The comparison by layer: what it must say of the truth itself, of a scaled update, of silence."""

import math
from dataclasses import replace

import pytest
import torch

from lab import AttackState, Experiment, LabelSource, simulate_round
from lab.evaluation.layer_match import LayerMatcher, compare_layers
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.protocols.fedavg import FedAvg


@pytest.mark.parametrize(
    "protocol", [Experiment().protocol, FedAvg(local_steps=2, learning_rate=0.01)], ids=["fedsgd", "fedavg"]
)
def test_the_truth_matches_every_layer(protocol):
    attacked = simulate_round(Experiment(network=LeNet(), protocol=protocol, batch_size=2))
    found = LayerMatcher(attacked.observation)(AttackState(0, 1, attacked.batch.images, 0.0))
    assert [layer.count for layer in found] == [
        sum(p.numel() for p in attacked.observation.network.get_submodule(layer.name).parameters()) for layer in found
    ]
    for layer in found:
        assert layer.cosine == pytest.approx(1, abs=1e-6)
        assert layer.ratio == pytest.approx(1, abs=1e-5)


def test_numbers_by_hand():
    shared = {"a.weight": torch.tensor([[3.0, 0.0]]), "a.bias": torch.tensor([4.0]), "b.weight": torch.zeros(2)}
    candidate = {"a.weight": torch.tensor([[0.0, 0.0]]), "a.bias": torch.tensor([10.0]), "b.weight": torch.ones(2)}
    first, second = compare_layers(candidate, shared)
    assert (first.name, first.count, first.shared_norm, first.candidate_norm) == ("a", 3, 5.0, 10.0)
    assert (first.ratio, first.cosine) == (2.0, pytest.approx(0.8))
    assert (second.ratio, second.cosine) == (None, None)
    assert second.candidate_norm == pytest.approx(math.sqrt(2))


def test_another_picture_is_told_and_the_network_is_left_alone():
    attacked = simulate_round(Experiment(network=MLP(width=16)))
    before = {name: p.clone() for name, p in attacked.observation.network.named_parameters()}
    grey = torch.full_like(attacked.batch.images, 0.5)
    assert min(layer.cosine for layer in LayerMatcher(attacked.observation)(AttackState(0, 1, grey, 0.0))) < 0.9
    assert all(torch.equal(before[name], p) for name, p in attacked.observation.network.named_parameters())
    assert all(p.grad is None for p in attacked.observation.network.parameters())


def test_without_labels_there_is_nothing_to_compare():
    attacked = simulate_round(Experiment(network=MLP(width=16), labels=LabelSource.INFERRED))
    state = AttackState(0, 1, attacked.batch.images, 0.0)
    matcher = LayerMatcher(attacked.observation)
    assert matcher(state) == ()
    assert len(matcher(replace(state, labels=attacked.batch.labels))) == 3
