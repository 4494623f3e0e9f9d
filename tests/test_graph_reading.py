"""What graphs are read by: spans and their noise, counts that are told, what can be assembled, small graphs; by brute force."""

from itertools import combinations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.attacks.closed_form.row_span import RowSpan
from lab.attacks.graph.assembly import assemble, is_realisable
from lab.attacks.graph.budget import Budget
from lab.attacks.graph.integer_counts import edge_balance, integer_counts
from lab.attacks.graph.neighbourhood_types import Types
from lab.attacks.graph.observed_sums import ObservedSums
from lab.attacks.graph.small_graphs import small_graphs
from lab.attacks.graph.span_membership import inside_with_one_more, lies_inside
from lab.attacks.neighbourhoods import GraphOutcome, Neighbourhoods
from lab.federated.networks.base import Activation
from lab.federated.networks.gcn import GCN
from lab.federated.networks.graphsage import GraphSAGE
from lab.federated.observation import LabelSource, Observation
from lab.federated.protocols.fedsgd import FedSGD
from lab.modalities.graphs.building import batch_of, graphs_of
from lab.modalities.graphs.comparison import colours, mapping
from lab.randomness import stream


def observed(graph, network, kinds, dtype=torch.float32):
    batch = {name: tensor.to(dtype) for name, tensor in batch_of([graph], kinds).items()}
    shape = {name: tuple(tensor.shape[1:]) for name, tensor in batch.items()}
    model, label = network.build(shape, 2, stream(0, "weights")).to(dtype), torch.tensor([1])
    update = FedSGD().update(model, batch, label)
    return Observation(model, FedSGD(), update, shape, 1, LabelSource.KNOWN, label, modality="graphs"), batch


def every_graph(nodes):
    pairs = list(combinations(range(nodes), 2))
    for number in range(2 ** len(pairs)):
        yield [pair for place, pair in enumerate(pairs) if number >> place & 1]


EVERY = {nodes: list(every_graph(nodes)) for nodes in (1, 2, 3, 4)}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(0, 10**6), st.integers(0, 2))
def test_what_can_be_assembled_is_what_some_graph_has(nodes, seed, changes):
    """Of a graph's own neighbourhoods, some changed by chance: against all graphs of so many nodes."""
    dice = stream(seed, "graph")
    kinds = torch.randint(2, (nodes,), generator=dice).tolist()
    pairs = EVERY[nodes][int(torch.randint(len(EVERY[nodes]), (1,), generator=dice))]
    graph = nx.Graph(pairs)
    graph.add_nodes_from(range(nodes))
    around = [sorted(kinds[other] for other in graph[node]) for node in range(nodes)]
    for _ in range(changes):
        node = int(torch.randint(nodes, (1,), generator=dice))
        around[node] = sorted([*around[node], int(torch.randint(2, (1,), generator=dice))])

    def has_them(bonds):
        friends = [[] for _ in range(nodes)]
        for one, other in bonds:
            friends[one].append(kinds[other])
            friends[other].append(kinds[one])
        return [sorted(friend) for friend in friends] == around

    possible = any(has_them(bonds) for bonds in EVERY[nodes])
    found = assemble(kinds, around)
    assert is_realisable(kinds, around) == possible
    assert bool(found) == possible
    assert all(has_them(bonds) for bonds in found)


NETWORKS = [
    GCN(width=12),
    GCN(width=12, bias=False, mean=False, activation=Activation.GELU),
    GCN(width=12, layers=1, activation=Activation.TANH, degree=False),
    GraphSAGE(width=12, layers=3, activation=Activation.ELU),
]


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_each_node_counted_once_explains_what_the_last_layer_told(network):
    graph = nx.gnp_random_graph(6, 0.5, seed=1)
    observation, batch = observed(([node % 3 for node in graph], list(graph.edges)), network, 3, torch.float64)
    body, update = observation.network.features, observation.update
    atoms, bonds = batch["atoms"], batch["bonds"]
    with torch.no_grad():
        nodes = body.described(atoms, bonds.sum(-1))
        for layer in body.layers:
            gathered = body.aggregation.aggregate(nodes, bonds, atoms.sum(-1))
            nodes = body.activation(layer(gathered))
    last = f"features.layers.{network.layers - 1}"
    weight, bias = update["head.0.weight"], update["head.0.bias"]
    told = ObservedSums(
        body,
        bias @ weight / (bias @ bias),
        bias @ observation.network.head[0].weight.detach(),
        update[f"{last}.weight"],
        update.get(f"{last}.bias"),
        RowSpan.at_precision(update[f"{last}.weight"], 6, 2e-16),
        6,
    )
    types = Types([0] * 6, [()] * 6, nodes[0], gathered[0], [0] * 6)
    left, right = told.equations(types)
    torch.testing.assert_close(torch.tensor(left.sum(1)), torch.tensor(right))


def test_counts_that_no_graph_has_lead_on_to_those_that_one_has():
    """Two of one kind that exchange neighbours gather the same sum: all such counts are given, and edges are balanced."""
    around = [(1, 1), (1, 2), (2, 2), (0,), (0,)]
    types = Types([0, 0, 0, 1, 2], around, torch.zeros(5, 1), torch.zeros(5, 1), [0] * 5)
    told = torch.tensor([[1.0, 1, 1, 0, 0], [2, 1, 0, 0, 0], [0, 1, 2, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]).double()
    counts = torch.tensor([1.0, 0, 1, 2, 2]).double()
    found = {tuple(one) for one in integer_counts(told.numpy(), (told @ counts).numpy(), types, 6, 1e-9, Budget(1))}
    assert found == {(1, 0, 1, 2, 2), (0, 2, 0, 2, 2)}
    assert all((edge_balance(types) @ list(one) == 0).all() for one in found)


def test_noise_is_what_the_span_says_and_vectors_are_asked_in_its_units():
    dice = stream(0, "span")
    came, entered = (torch.randn(rows, columns, generator=dice, dtype=torch.float64) for rows, columns in ((80, 6), (6, 80)))
    for level in (0.0, 1e-6, 1e-3):
        noise = level * torch.randn(80, 80, generator=dice, dtype=torch.float64)
        span = RowSpan.at_precision(came @ entered + noise, 6, 2e-16)
        assert span.rank == 6
        assert lies_inside(span, entered, 3.0).all()
        assert not lies_inside(span, entered + 0.3 * torch.randn(6, 80, generator=dice, dtype=torch.float64), 3.0).any()
        if level:
            assert span.noise_share == pytest.approx(float(noise.norm() / (came @ entered).norm()), rel=0.5)


def test_a_direction_that_got_lost_is_found_by_what_it_leaves_outside():
    dice = stream(1, "span")
    entered = torch.randn(5, 40, generator=dice, dtype=torch.float64)
    mixed = torch.tensor([[1.0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [1, 1, 0, 0, 1]], dtype=torch.float64) @ entered
    span = RowSpan.at_precision(torch.randn(40, 4, generator=dice, dtype=torch.float64) @ mixed, 5, 2e-16)
    others = torch.randn(30, 40, generator=dice, dtype=torch.float64)
    assert lies_inside(span, entered, 3.0).tolist() == [False, False, True, True, True]
    (which,) = inside_with_one_more(span, torch.cat([entered, others]), 3.0)
    assert which.tolist() == [True] * 5 + [False] * 30


@pytest.mark.parametrize("kinds", [1, 2])
def test_all_graphs_of_four_nodes_are_told_by_what_is_pooled(kinds):
    """Of every graph, its kinds coloured anyhow, those and only those come out that colouring cannot tell from it."""
    body = GCN(width=16, layers=2).build({"atoms": (4, 2), "bonds": (4, 4)}, 2, stream(0, "weights")).double().features
    for number, bonds in enumerate(EVERY[4][::7]):
        batch = batch_of([([(number >> node) % kinds for node in range(4)], bonds)], 2)
        present = sorted(set(batch["atoms"][0].argmax(-1).tolist()))
        with torch.no_grad():
            pooled = body(torch.cat([batch["atoms"], batch["bonds"]], -1).double())[0]
        (true,) = graphs_of(batch)
        found = [graphs_of(batch_of([graph], 2))[0] for graph in small_graphs(body, present, 4, pooled, 1e-9)]
        assert any(mapping(graph, true) for graph in found)
        assert all(colours(graph) == colours(true) for graph in found)


def test_trees_of_eight_nodes_are_read_though_many_have_a_singular_structure():
    """Every tree of at most four bonds a node: what comes out is the tree, or has its neighbourhoods."""
    for tree in nx.nonisomorphic_trees(8):
        if max(degree for _, degree in tree.degree) > 4:
            continue
        nx.set_node_attributes(tree, 0, "kind")
        observation, _ = observed(([0] * 8, list(tree.edges)), GCN(), 2)
        *_, last = Neighbourhoods().reconstruct(observation, stream(0, "attack"))
        assert last.outcome in (GraphOutcome.GRAPH, GraphOutcome.TWINS)
        assert colours(graphs_of(last.candidate)[0]) == colours(tree)
