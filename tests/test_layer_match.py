"""The comparison by layer: what it must say of the truth itself, of a scaled update, of silence."""

import math
from dataclasses import replace

import pytest
import torch

from lab import AttackState, Experiment, LabelSource, simulate_round
from lab.attacks.analytic import Analytic
from lab.attacks.base import Interrupted
from lab.attacks.closed_form.mismatch import in_double
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.distances.cosine import Cosine
from lab.evaluation.descent_direction import DescentDirection
from lab.evaluation.layer_match import MAX_OPENED, SAMPLE_SIZE, SAMPLED_UNITS, LayerMatcher, compare_layers, sample_entries
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD


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


def test_what_is_drawn_are_numbers_of_the_loudest_unit_in_the_same_places():
    shared = {
        "a.weight": torch.tensor([[0.0, 1.0], [-4.0, 2.0]]),
        "a.bias": torch.tensor([9.0, 9.0]),
        "b.weight": torch.zeros(2),
    }
    candidate = {"a.weight": torch.tensor([[7.0, 7.0], [8.0, 1.0]]), "a.bias": torch.zeros(2), "b.weight": torch.ones(2)}
    assert sample_entries(shared) == {"a": (-1.0, 0.5), "b": (0.0, 0.0)}
    assert [layer.drawn for layer in compare_layers(candidate, shared)] == [(2.0, 0.25), (0.0, 0.0)]
    many = {"c.weight": torch.arange(2.0 * 9 * 25).view(2, 9, 5, 5)}
    assert len(sample_entries(many)["c"]) == SAMPLE_SIZE
    assert sample_entries(many)["c"] == pytest.approx(
        [float((225 + place) / 449) for place in torch.linspace(0, 224, SAMPLE_SIZE).round()]
    )


@pytest.mark.parametrize("protocol", [FedSGD(), FedAvg(local_steps=2, learning_rate=0.01)], ids=["fedsgd", "fedavg"])
def test_downhill_is_the_way_in_which_the_attacks_own_distance_falls_fastest(protocol):
    """Truth: central differences in float64 along random directions."""
    experiment = Experiment(network=LeNet(), protocol=protocol, attack=GradientMatching(distance=Cosine()))
    seen = in_double(simulate_round(experiment).observation)
    guess = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = DescentDirection(experiment.attack, seen)(AttackState(0, 1, guess, 0.0))

    def distance(images):
        return float(Cosine()(seen.protocol.update(seen.network, images, seen.labels), seen.update))

    for seed in (1, 2, 3):
        way = torch.randn(guess.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        slope = (distance(guess + 1e-5 * way) - distance(guess - 1e-5 * way)) / 2e-5
        assert float((found * way).sum()) == pytest.approx(-slope, rel=1e-4)


def test_where_no_updates_are_compared_nothing_points_downhill():
    experiment = Experiment(network=MLP(width=16), attack=Analytic())
    attacked = simulate_round(experiment)
    assert DescentDirection(experiment.attack, attacked.observation)(AttackState(0, 1, attacked.batch.images, 0.0)) is None


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


@pytest.mark.parametrize("network", [MLP(), LeNet()], ids=lambda network: network.name)
def test_a_layer_that_is_opened_shows_both_updates_in_the_same_places(network):
    """Of another guess than the truth, what the client's own rule gives for it; at the end any layer can be opened."""
    attacked = simulate_round(Experiment(network=network))
    seen = attacked.observation
    matcher, name = LayerMatcher(seen), next(iter(seen.update)).removesuffix(".weight")
    for candidate in (attacked.batch.images, torch.full_like(attacked.batch.images, 0.5)):
        state = AttackState(1, 2, candidate, 0.0)
        sheets = {match.name: match.sheet for match in matcher(state, name) if match.sheet}
        assert [*sheets] == [name]
        sent, own = (
            update[f"{name}.weight"].flatten(1)
            for update in (seen.update, seen.protocol.update(seen.network, candidate, seen.labels))
        )
        rows, places = (
            torch.linspace(0, count - 1, min(most, count)).round().long()
            for count, most in zip(sent.shape, (SAMPLED_UNITS, SAMPLE_SIZE), strict=True)
        )
        size = sent[rows][:, places].abs().max()
        assert sheets[name].units == len(rows)
        assert sheets[name].sent == pytest.approx((sent[rows][:, places] / size).flatten().tolist(), abs=1e-6)
        assert sheets[name].guess == pytest.approx((own[rows][:, places] / size).flatten().tolist(), abs=1e-4)
    assert not any(match.sheet for match in matcher(state, "none of its layers"))
    ended = matcher(replace(state, outcome=Interrupted.STOPPED), "")
    assert len([match for match in ended if match.sheet]) == min(MAX_OPENED, len(ended))
