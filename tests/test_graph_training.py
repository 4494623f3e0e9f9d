"""Graph networks trained on what the lab ships and on zips, and read in either precision."""

import zipfile
from dataclasses import replace

import networkx as nx
import pytest
import torch

from lab import Experiment, reconstruct, simulate_round
from lab.attacks.closed_form.row_span import RowSpan
from lab.attacks.neighbourhoods import GraphOutcome, Neighbourhoods
from lab.client import checkpoints
from lab.client.checkpoints.card import Recipe, Rule, read_card
from lab.client.datasets.molecules import Molecules
from lab.client.datasets.tu import TU
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.client.training import train
from lab.errors import LabError
from lab.federated.networks.base import Activation
from lab.federated.networks.gcn import GCN
from lab.federated.networks.graphsage import GraphSAGE
from lab.federated.updates import flat
from lab.modalities.graphs.building import batch_of
from lab.modalities.graphs.comparison import isomorphic
from lab.randomness import stream
from lab.studies.base import Pictures
from lab.studies.graph_curves import GraphCurves
from lab.studies.graph_rows import SIZES

QUICK = Recipe(epochs=8, batch_size=8, rule=Rule.ADAMW, learning_rate=0.02, weight_decay=0, held_out=16)


def zipped(folder, graphs, labels):
    """As TU Dortmund lays it out."""
    starts = [sum(len(graph) for graph in graphs[:place]) + 1 for place in range(len(graphs))]
    edges = [(s + a, s + b) for s, graph in zip(starts, graphs, strict=True) for a, b in graph.edges]
    parts = {
        "A": "".join(f"{a}, {b}\n{b}, {a}\n" for a, b in edges),
        "graph_indicator": "".join(f"{place}\n" * len(graph) for place, graph in enumerate(graphs, 1)),
        "graph_labels": "".join(f"{label}\n" for label in labels),
    }
    with zipfile.ZipFile(folder / "X.zip", "w") as archive:
        for part, text in parts.items():
            archive.writestr(f"X/X_{part}.txt", text)
    return TU(str(folder / "X.zip"))


def test_a_network_learns_rings_from_stars_and_its_card_counts_those_kept_aside(tmp_path):
    """Of a file that lists one class after the other, as some of the collection do."""
    graphs = [nx.cycle_graph(4 + place % 9) for place in range(32)] + [nx.star_graph(3 + place % 9) for place in range(32)]
    data, options = zipped(tmp_path, graphs, [0] * 32 + [1] * 32), GCN(width=16)
    *_, ended, last = train(options, data, QUICK, tmp_path / "run")
    assert "16 held-out graphs" in ended.told
    card, kept = read_card(last.saved.with_suffix(".json")), data.samples(QUICK)
    assert (card.image_shape, card.training_pictures, card.classes, card.data) == ((12, 1), 48, 2, "tu")
    labels, own = kept.labels[48:], kept.graphs[48:]
    assert set(labels.tolist()) == {0, 1}
    assert [label == 1 for label in labels.tolist()] == [len(bonds) < len(nodes) for nodes, bonds in own]
    network = options.build(kept.shape, 2, stream(0, "weights"))
    checkpoints.load(network, options, str(last.saved))
    one_by_one = [int(network(batch_of([graph], 1)).argmax()) for graph in own]
    assert card.accuracy[0].share == sum(map(int.__eq__, one_by_one, labels.tolist())) / 16 > 0.8


def test_too_few_graphs_to_train_on_are_refused(tmp_path):
    data = zipped(tmp_path, [nx.path_graph(3)] * 20, [0, 1] * 10)
    with pytest.raises(LabError, match="20 training graphs, too few to hold out 16 and fill a batch of 8; give more graphs"):
        data.samples(QUICK)
    assert data.recipe().held_out == 4


@pytest.mark.parametrize("entry", [GCN, GraphSAGE])
def test_in_double_precision_the_weights_are_the_same_and_the_gradient_has_more_digits(entry):
    single, double = (
        simulate_round(Experiment(dataset=Molecules("urea"), network=entry(width=16, double=kind))).observation
        for kind in (False, True)
    )
    for name, weight in single.network.named_parameters():
        assert torch.equal(weight.double(), dict(double.network.named_parameters())[name])
    assert {tensor.dtype for tensor in double.update.values()} == {torch.float64}
    off = (flat(single.update).double() - flat(double.update)).norm() / flat(double.update).norm()
    assert 1e-9 < off < 1e-5


@pytest.mark.parametrize(("activation", "name"), [(Activation.GELU, "caffeine"), (Activation.TANH, "citric acid")])
def test_a_smooth_network_that_is_told_no_degree_gives_the_graph_away_in_double_precision(activation, name):
    """Most of what nodes pass on is linear in what they have, and most of the rest shorter than single precision's digits."""
    told = []
    for double in (False, True):
        network = GCN(activation=activation, degree=False, double=double)
        experiment = Experiment(dataset=Molecules(name), network=network, attack=Neighbourhoods())
        seen = simulate_round(experiment)
        gradient = seen.observation.update["features.layers.1.weight"]
        span = RowSpan.at_precision(gradient.double(), network.width, torch.finfo(gradient.dtype).eps)
        told.append(span.rank)
    assert told[0] < told[1]
    *_, last = reconstruct(experiment, seen.observation)
    assert last.outcome in (GraphOutcome.GRAPH, GraphOutcome.TWINS)
    assert isomorphic(last.candidate, seen.batch.inputs).item() == 1 or last.outcome is GraphOutcome.TWINS


def test_batches_of_a_study_end_with_the_file_whatever_number_is_asked_for():
    study = GraphCurves(images=100, pictures=Pictures.CIFAR10)
    firsts = {experiment.batch_size: set() for cell in study.cells() for experiment in cell.experiments}
    for cell in study.cells():
        for experiment in cell.experiments:
            firsts[experiment.batch_size].add(experiment.dataset.first)
    assert set(firsts) == {1, 2, 4}
    assert all(max(found) + size <= SIZES["MUTAG"] for size, found in firsts.items())
    assert len(firsts[1]) == 100


@pytest.mark.parametrize("activation", [Activation.RELU, Activation.GELU])
def test_training_leaves_relu_few_patterns_to_tell_atoms_by_and_a_smooth_network_all_its_slopes(tmp_path, activation):
    """The last layer's gradient mixes what atoms were given that bend alike: its rank is at most the number of patterns."""
    options = GCN(width=64, activation=activation, double=True)
    *_, last = train(options, Molecules(), replace(Molecules().recipe(), epochs=20), tmp_path)
    experiment = Experiment(
        dataset=Molecules("dopamine"), network=options, trained=True, weights=str(last.saved), attack=Neighbourhoods()
    )
    seen = simulate_round(experiment)
    bent = []
    with seen.observation.network.features.layers[1].register_forward_hook(lambda *passed: bent.append(passed[2])):
        seen.observation.network(seen.batch.inputs)
    patterns, atoms = len((bent[0] > 0).flatten(0, 1).unique(dim=0)), bent[0].shape[1]
    rank = int(torch.linalg.matrix_rank(seen.observation.update["features.layers.1.weight"], rtol=1e-13))
    *_, read = reconstruct(experiment, seen.observation)
    if activation is Activation.RELU:
        assert rank <= patterns < atoms
        assert read.outcome is GraphOutcome.TOO_MANY
    else:
        assert rank > patterns // 2
        assert isomorphic(read.candidate, seen.batch.inputs).item() == 1


@pytest.mark.parametrize(("strength", "is_read"), [(1e-5, True), (1e-3, False)])
def test_what_a_graph_stands_of_noise(strength, is_read):
    experiment = Experiment(
        dataset=Molecules("glycerol"),
        network=GCN(),
        defences=(GaussianNoise(strength=strength),),
        attack=Neighbourhoods(),
    )
    seen = simulate_round(experiment)
    *_, last = reconstruct(experiment, seen.observation)
    assert (last.outcome in (GraphOutcome.GRAPH, GraphOutcome.TWINS)) is is_read
    assert isomorphic(last.candidate, seen.batch.inputs).item() == is_read
