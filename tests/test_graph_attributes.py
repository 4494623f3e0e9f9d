"""Nodes with real-valued attributes: files, networks and scores, and what a gradient tells of them."""

import zipfile
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import torch

from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.closed_form.row_span import RowSpan
from lab.attacks.feature_span import FeatureOutcome, FeatureSpan
from lab.attacks.graph.continuous_span import ContinuousSpan
from lab.attacks.neighbourhoods import GraphOutcome, Neighbourhoods
from lab.client.datasets.molecules import Molecules
from lab.client.datasets.tu import TU
from lab.errors import LabError
from lab.experiments.experiment import Experiment
from lab.experiments.recommended import recommended_for
from lab.experiments.rounds import simulate_round
from lab.federated.networks.gcn import GCN
from lab.federated.networks.graphsage import GraphSAGE
from lab.modalities.graphs import Graphs
from lab.randomness import stream

ATTRIBUTES = 3


def published(folder, told, graphs=3, nodes=7):
    """A file of rings with a chord, as TU Dortmund would publish it."""
    edges = [(first + one, first + other) for first in range(1, graphs * nodes, nodes) for one, other in bound(nodes)]
    texts = {
        "A": "".join(f"{one}, {other}\n{other}, {one}\n" for one, other in edges),
        "graph_indicator": "".join(f"{node // nodes + 1}\n" for node in range(graphs * nodes)),
        "graph_labels": "".join(f"{graph % 2}\n" for graph in range(graphs)),
        "node_labels": "".join(f"{node % 2}\n" for node in range(graphs * nodes)),
    } | ({} if told is None else {"node_attributes": told})
    path = folder / "RINGS.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for part, text in texts.items():
            archive.writestr(f"RINGS/RINGS_{part}.txt", text)
    return str(path)


def bound(nodes):
    return [*((node, (node + 1) % nodes) for node in range(nodes)), (0, 3)]


def numbers(count=21, seed=0):
    return np.random.default_rng(seed).normal(5, 20, (count, ATTRIBUTES)).round(4)


def lines(table):
    return "".join(", ".join(map(str, row)) + "\n" for row in table)


def attacked(tmp_path, network, attack=FeatureSpan(), table=None):  # noqa: B008
    data = TU(published(tmp_path, lines(numbers() if table is None else table)), first=1, attributes=True)
    round_ = simulate_round(Experiment(dataset=data, network=network, attack=attack))
    *_, last = attack.reconstruct(round_.observation, stream(0, "attack"))
    return last, round_.batch.inputs


def test_attributes_are_read_beside_the_kinds_of_mean_0_and_spread_1(tmp_path):
    data = TU(published(tmp_path, lines(numbers())), first=1, attributes=True)
    batch = data.load(2, 0, stream(0, "data"))
    whole = numbers()
    wanted = (whole - whole.mean(0)) / whole.std(0)
    assert data.input_shape(0) == {name: tuple(tensor.shape[1:]) for name, tensor in batch.inputs.items()}
    np.testing.assert_allclose(batch.inputs["attributes"].flatten(0, 1).numpy(), wanted[7:], rtol=1e-4, atol=1e-5)
    assert "attributes" not in TU(data.path).load(1, 0, stream(0, "data")).inputs


def test_an_attribute_that_is_the_same_everywhere_says_nothing(tmp_path):
    table = numbers()
    table[:, 1] = 4e200
    found = TU(published(tmp_path, lines(table)), attributes=True).load(3, 0, stream(0, "data")).inputs["attributes"]
    assert not found[..., 1].any()
    assert found.isfinite().all()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (None, "_node_attributes"),
        ("", "lines of attributes"),
        (lines(numbers(20)), "20 lines of attributes for 21 nodes"),
        (lines(numbers(22)), "lines of attributes"),
        (lines(numbers()).rsplit(",", 1)[0] + "\n", "lines"),
        (lines(numbers()).replace("\n", ",nan\n"), "not finite"),
        (lines(numbers()).replace("\n", ",9e999\n"), "not finite"),
        (lines(numbers()).replace("\n", ",one\n"), "no number"),
        (lines(np.ones((21, 101))), "101 attributes"),
    ],
)
def test_attributes_that_are_none_are_refused_in_a_sentence(tmp_path, told, said):
    with pytest.raises(LabError, match=r"^tu: RINGS\.zip holds") as caught:
        TU(published(tmp_path, told), attributes=True).check_available(1, 0)
    assert said in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("activation", [torch.nn.ReLU(), torch.nn.GELU(), torch.nn.Tanh()], ids=str)
def test_every_input_whose_output_spans_is_found_and_none_twice(activation):
    """Against the inputs that made the span."""
    layer = torch.nn.utils.skip_init(torch.nn.Linear, 4, 48, dtype=torch.float64)
    for parameter in layer.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5, generator=stream(1, "layer"))
    inputs = torch.randn(6, 4, generator=stream(2, "inputs"), dtype=torch.float64)
    outputs = activation(layer(inputs)).detach()
    mixing = torch.randn(48, 6, generator=stream(3, "mixing"), dtype=torch.float64)
    found = ContinuousSpan(layer, activation, RowSpan.at_precision(mixing @ outputs, 6, 2e-16)).inputs(6, stream(4, "starts"))
    assert found.shape == inputs.shape
    assert torch.cdist(inputs, found).amin(1).max() < 1e-5


def test_features_and_bonds_come_out_of_a_gradient(tmp_path):
    last, truth = attacked(tmp_path, GraphSAGE(width=64))
    scores = Graphs().scores(truth, last.candidate)
    assert last.outcome is FeatureOutcome.READ
    assert float(scores["atoms_mse"]) < 1e-6
    assert float(scores["isomorphic"]) == 1


def test_two_nodes_that_are_one_to_the_network_are_both_there(tmp_path):
    """Nodes 4 and 6 of the ring have neighbour 5, and the others alike."""
    graph = nx.Graph(bound(7))
    table = numbers()
    whole = table[7:14]
    whole[3] = whole[0]
    whole[4], whole[5] = whole[6], whole[6]
    whole[1], whole[2] = whole[6], whole[6]
    last, truth = attacked(tmp_path, GraphSAGE(width=64), table=table)
    assert len(graph) == len(last.candidate["atoms"][0])
    assert float(Graphs().scores(truth, last.candidate)["atoms_mse"]) < 0.1
    assert last.candidate["attributes"].isfinite().all()


def test_of_a_gcn_the_mean_around_each_node_is_told(tmp_path):
    last, truth = attacked(tmp_path, GCN(width=64))
    assert last.outcome is FeatureOutcome.MIXED
    atoms, told = truth["atoms"][0].double(), truth["attributes"][0].double()
    edges = truth["bonds"][0].double() + torch.eye(7, dtype=torch.float64)
    weights = edges / (edges.sum(1, keepdim=True) * edges.sum(1)).sqrt()
    around = weights @ torch.cat([atoms, told], 1) / weights.sum(1, keepdim=True)
    found = torch.cat([last.candidate["atoms"][0], last.candidate["attributes"][0]], 1).double()
    found = found[: int(last.note.split()[0])]
    assert len(found) > 3
    assert torch.cdist(found, around).amin(1).max() < 1e-2


def test_lists_end_in_a_sentence_where_nodes_have_attributes(tmp_path):
    last, _ = attacked(tmp_path, GraphSAGE(width=16), Neighbourhoods())
    assert last.outcome is GraphOutcome.ATTRIBUTES


def test_what_cannot_be_read_ends_in_a_sentence(tmp_path):
    last, _ = attacked(tmp_path, GraphSAGE(width=16, layers=1))
    assert last.outcome is FeatureOutcome.ONE_LAYER
    data = TU(published(tmp_path, lines(numbers())), attributes=True)
    round_ = simulate_round(Experiment(dataset=data, network=GraphSAGE(width=16), batch_size=2))
    *_, last = FeatureSpan().reconstruct(round_.observation, stream(0, "attack"))
    assert last.outcome is GraphOutcome.SEVERAL


@pytest.mark.parametrize("attack", [FeatureSpan(), Neighbourhoods()], ids=str)
@pytest.mark.parametrize("network", [GCN(width=16), GraphSAGE(width=16), GCN(width=16, bias=False, layers=3)], ids=str)
def test_an_update_of_zeros_tells_nothing_and_that_is_said(network, attack):
    """As a set of a single class sends it."""
    seen = simulate_round(Experiment(dataset=Molecules(), network=network)).observation
    silent = replace(seen, update={name: torch.zeros_like(tensor) for name, tensor in seen.update.items()})
    *_, last = attack.reconstruct(silent, stream(0, "attack"))
    assert last.outcome is ClosedFormOutcome.DEAD_UNITS


def test_the_recommended_attack_takes_attributes_where_they_are_asked_for(tmp_path):
    path = published(tmp_path, lines(numbers()))
    assert recommended_for(Experiment(dataset=TU(path, attributes=True), network=GCN())) == FeatureSpan()
    assert recommended_for(Experiment(dataset=TU(path), network=GCN())) == Neighbourhoods()


def test_matching_moves_attributes_and_controls_have_them(tmp_path):
    data = TU(published(tmp_path, lines(numbers())), attributes=True)
    truth, modality = data.load(1, 0, stream(0, "data")).inputs, Graphs()
    kept = modality.inputs(modality.leaves(truth, broad=False), truth)
    assert torch.equal(kept["attributes"], truth["attributes"])
    for control in modality.ignorance(truth, data.others(1, 2, 0, stream(0, "others"))).values():
        assert {name: tensor.shape for name, tensor in control.items()} == {name: t.shape for name, t in truth.items()}
    assert float(modality.scores(truth, truth)["atoms_mse"]) == 0
    assert modality.shown(truth).values.shape == (1, 7, 2 + 7)
