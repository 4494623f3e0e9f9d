"""Graphs read from gradients, against networkx, brute force over small graphs, and zips that nobody published."""

import asyncio
import tracemalloc
import zipfile
from collections import Counter
from dataclasses import replace

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.attacks.closed_form.mismatch import EXACT_MISMATCH, mismatch
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.priors.total_variation import TotalVariation
from lab.attacks.neighbourhoods import GraphOutcome, Neighbourhoods
from lab.client.datasets.molecules import MOLECULES, Molecules
from lab.client.datasets.tu import TU
from lab.errors import LabError
from lab.experiments.edits import patched
from lab.experiments.experiment import Experiment
from lab.experiments.links import read
from lab.experiments.recommended import recommended_for
from lab.experiments.rounds import simulate_round
from lab.federated.graph_layers import ConcatMean as BesideNeighbours
from lab.federated.graph_layers import Symmetric
from lab.federated.networks.gcn import GCN
from lab.federated.networks.graphsage import GraphSAGE
from lab.federated.observation import LabelSource, Observation
from lab.federated.protocols.fedsgd import FedSGD
from lab.modalities.base import Beside
from lab.modalities.graphs import Graphs
from lab.modalities.graphs.building import batch_of, graphs_of
from lab.modalities.graphs.comparison import colours, isomorphic, mapping
from lab.modalities.graphs.line_notation import ATOMS, parse
from lab.randomness import stream
from widgets.playback.playback import Playback
from widgets.run.session import Session

READ = (GraphOutcome.GRAPH, GraphOutcome.TWINS)


def seen(graph, network=GCN(width=64), kinds=len(ATOMS), double=False):  # noqa: B008
    batch = batch_of([graph], kinds)
    shape = {name: tuple(tensor.shape[1:]) for name, tensor in batch.items()}
    model, label = network.build(shape, 2, stream(0, "weights")), torch.tensor([1])
    if double:
        model, batch = model.double(), {name: tensor.double() for name, tensor in batch.items()}
    update = FedSGD().update(model, batch, label)
    return Observation(model, FedSGD(), update, shape, 1, LabelSource.KNOWN, label, modality="graphs"), batch


def attacked(observation):
    return list(Neighbourhoods().reconstruct(observation, stream(0, "attack")))


def test_a_page_shows_atoms_and_bonds_of_both_sides():
    async def watched():
        session = Session(patched(Experiment(), [("network", "gcn"), ("network.width", 64)]).to_plain())
        film = Playback(session)
        await asyncio.wait_for(session.finish(), 240)
        last = session.frames[-1]
        session.close()
        assert film.round["alt"]
        return session.status, film.round["inputs"], last.inputs, last.words["kinds"], len(last.words["places"])

    assert asyncio.run(watched()) == ("finished", "graphs", "graphs", list(ATOMS), 1)


def shuffled(batch, seed):
    order = torch.randperm(batch["atoms"].shape[1], generator=stream(seed, "order"))
    return {"atoms": batch["atoms"][:, order], "bonds": batch["bonds"][:, order][:, :, order]}


@pytest.mark.parametrize("network", [GCN(), GraphSAGE(), GCN(mean=False), GCN(layers=3)], ids=str)
def test_a_shipped_molecule_comes_out_of_its_gradient(network):
    experiment = Experiment(dataset=Molecules("paracetamol"), network=network)
    assert recommended_for(experiment) == Neighbourhoods()
    round_ = simulate_round(experiment)
    *_, last = attacked(round_.observation)
    assert last.outcome in READ
    (found,), (true,) = graphs_of(last.candidate), graphs_of(round_.batch.inputs)
    assert nx.is_isomorphic(found, true, node_match=lambda a, b: a["kind"] == b["kind"])


@pytest.mark.parametrize("double", [False, True])
def test_two_molecules_with_one_gradient_are_both_given(double):
    """Decalin and bicyclopentyl: textbooks' pair that colouring cannot tell apart."""
    decalin, pentyl = parse("C1CCC2CCCCC2C1"), parse("C1CCC(C1)C2CCCC2")
    updates = [seen(graph, GCN(), double=double)[0].update for graph in (decalin, pentyl)]
    for name, tensor in updates[0].items():
        torch.testing.assert_close(tensor, updates[1][name], rtol=1e-4, atol=1e-6)
    both = [graphs_of(batch_of([graph], len(ATOMS)))[0] for graph in (decalin, pentyl)]
    for graph in (decalin, pentyl):
        *_, last = attacked(seen(graph, GCN(), double=double)[0])
        assert last.outcome is GraphOutcome.TWINS
        found = [graphs_of(inputs)[0] for inputs in (last.candidate, last.other)]
        assert not nx.is_isomorphic(*found)
        assert any(nx.is_isomorphic(found[0], graph) or nx.is_isomorphic(found[1], graph) for graph in both)


def test_all_small_graphs_are_read():
    """Every connected graph up to five nodes: what is read has its gradient, and where it is alone it is the graph itself."""
    atlas = [graph for graph in nx.graph_atlas_g() if 2 <= len(graph) <= 5 and nx.is_connected(graph)]
    everything = [colours(_coloured(graph)) for graph in atlas]
    assert len(atlas) == 30
    for graph, own in zip(atlas, everything, strict=True):
        *_, last = attacked(seen(([0] * len(graph), list(graph.edges)), kinds=2)[0])
        assert last.outcome in READ
        (found,) = graphs_of(last.candidate)
        assert colours(found) == own
        if everything.count(own) == 1 and nx.is_connected(found):
            assert nx.is_isomorphic(found, graph)


def _coloured(graph):
    nx.set_node_attributes(graph, 0, "kind")
    return graph


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 7), st.randoms(use_true_random=False))
def test_one_neighbourhood_is_gathered_as_in_the_whole_graph(nodes, dice):
    graph = nx.gnp_random_graph(nodes, 0.4, seed=dice.randrange(10**6))
    bonds = torch.tensor(nx.to_numpy_array(graph), dtype=torch.float64)
    values = torch.randn(nodes, 3, generator=stream(nodes, "values"), dtype=torch.float64)
    for aggregation in (Symmetric(), BesideNeighbours()):
        whole = aggregation.aggregate(values.unsqueeze(0), bonds.unsqueeze(0), torch.ones(1, nodes, dtype=torch.float64))[0]
        for node in graph:
            around = sorted(graph[node])
            degrees = torch.tensor([[graph.degree(other) for other in around]], dtype=torch.long)
            one = aggregation.aggregate_node(values[node].unsqueeze(0), values[around].unsqueeze(0), len(around), degrees)
            torch.testing.assert_close(one[0], whole[node])


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 7), st.integers(0, 10**6))
def test_scores_do_not_ask_for_the_order_of_nodes(nodes, seed):
    graph = nx.gnp_random_graph(nodes, 0.5, seed=seed)
    truth = batch_of([([node % 3 for node in graph], list(graph.edges))], 3)
    scores = Graphs().scores(truth, shuffled(truth, seed))
    assert {name: float(value) for name, value in scores.items()} == {
        "atoms_mse": 0,
        "bonds_auc": 1,
        "isomorphic": 1,
        "same_neighbourhoods": 1,
    }


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), st.integers(0, 10**6))
def test_graphs_are_told_apart_as_networkx_tells_them(nodes, seed):
    one, other = (_coloured(nx.gnp_random_graph(nodes, 0.5, seed=seed + step)) for step in (0, 1))
    assert (mapping(one, other) is not None) == nx.is_isomorphic(one, other)


@pytest.mark.parametrize("count", [1, 9, 16])
@pytest.mark.parametrize("kinds", [1, 3, len(ATOMS)])
def test_decoys_are_none_of_the_private_graphs(count, kinds):
    graphs = [([kind % kinds for kind in parse(line)[0]], parse(line)[1]) for line in list(MOLECULES.values())[:count]]
    private, decoys = batch_of(graphs, kinds), None
    if count < 16 or kinds > 1:  # without kinds nothing else is left
        decoys = Molecules().decoys(private, 7, stream(0, "decoys"))
        assert len(decoys["atoms"]) == 7
        pairs = [(own, other) for own in graphs_of(private) for other in graphs_of(decoys)]
        assert all(mapping(*pair) is None for pair in pairs)


def test_the_gallery_holds_what_chemistry_says():
    formulas = {name: Counter(ATOMS[kind] for kind in parse(line)[0]) for name, line in MOLECULES.items()}
    assert formulas["aspirin"] == {"C": 9, "O": 4}
    assert formulas["caffeine"] == {"C": 8, "N": 4, "O": 2}
    assert formulas["nicotine"] == {"C": 10, "N": 2}
    assert formulas["paracetamol"] == {"C": 8, "N": 1, "O": 2}
    assert formulas["taurine"] == {"C": 2, "N": 1, "O": 3, "S": 1}
    for line in MOLECULES.values():
        kinds, bonds = parse(line)
        assert nx.is_connected(nx.Graph(bonds))
        assert max(Counter(end for bond in bonds for end in bond).values()) <= 4
        assert len(kinds) == len(nx.Graph(bonds))


@pytest.mark.parametrize("line", ["", "(", "C)", "C1CC", "1C", "C11", "Xe", "C" * 401, "C(C", "C12CC12", "🧪"])
def test_a_line_that_is_no_molecule_is_refused_in_a_sentence(line):
    with pytest.raises(LabError, match=r"\.$"):
        parse(line)


GOOD = {
    "X/X_A.txt": "1, 2\n2, 1\n3, 4\n",
    "X/X_graph_indicator.txt": "1\n1\n2\n2\n",
    "X/X_graph_labels.txt": "1\n-1\n",
    "X/X_node_labels.txt": "0\n5\n5\n5\n",
}


def written(folder, files):
    with zipfile.ZipFile(folder / "X.zip", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return TU(str(folder / "X.zip"))


def test_a_published_zip_is_read(tmp_path):
    dataset = written(tmp_path, GOOD)
    batch = dataset.load(2, 0, stream(0, "data"))
    assert dataset.class_names == ("-1", "1")
    assert batch.labels.tolist() == [1, 0]
    assert batch.inputs["atoms"].tolist() == [[[1, 0], [0, 1]], [[0, 1], [0, 1]]]
    assert batch.inputs["bonds"].tolist() == [[[0, 1], [1, 0]]] * 2


ONE_GRAPH = {"X/X_graph_labels.txt": "1\n"}
HOSTILE = {
    "climbs out": {"../X_A.txt": "1, 2\n"},
    "absolute": {"/X_A.txt": "1, 2\n"},
    "twice": {"Y/Y_A.txt": "1, 2\n"},
    "between graphs": {"X/X_A.txt": "1, 3\n"},
    "a loop": {"X/X_A.txt": "1, 1\n"},
    "beyond the nodes": {"X/X_A.txt": "1, 5\n"},
    "from node 0": {"X/X_A.txt": "0, 1\n"},
    "three columns": {"X/X_A.txt": "1, 2, 3\n"},
    "words": {"X/X_A.txt": "one, two\n"},
    "too many digits": {"X/X_A.txt": "9" * 5000 + ", 1\n"},
    "bytes": {"X/X_A.txt": b"\xff\xfe"},
    "a label too few": {"X/X_node_labels.txt": "0\n5\n5\n"},
    "a graph too many": {"X/X_graph_labels.txt": "1\n1\n1\n"},
    "no graphs": {"X/X_graph_labels.txt": "", "X/X_graph_indicator.txt": "", "X/X_node_labels.txt": "", "X/X_A.txt": ""},
    "10,000 nodes": {**ONE_GRAPH, "X/X_graph_indicator.txt": "1\n" * 10_000, "X/X_node_labels.txt": "0\n" * 10_000},
    "many kinds": {**ONE_GRAPH, "X/X_graph_indicator.txt": "1\n" * 300, "X/X_node_labels.txt": "\n".join(map(str, range(300)))},
}


@pytest.mark.parametrize("changes", HOSTILE.values(), ids=HOSTILE)
def test_a_zip_that_nobody_published_is_refused_in_a_sentence(tmp_path, changes):
    with pytest.raises(LabError, match=r"^tu: X\.zip .*\.$") as told:
        written(tmp_path, GOOD | changes).load(1, 0, stream(0, "data"))
    assert str(tmp_path) not in str(told.value)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_zip_of_more_lines_than_memory_is_for_is_refused(tmp_path, monkeypatch, end):
    monkeypatch.setattr("lab.client.datasets.tu.MAX_LINES", 8)
    with pytest.raises(LabError, match=r"more than 8 lines in _A\.txt; take a smaller set"):
        written(tmp_path, GOOD | {"X/X_A.txt": f"1, 2{end}" * 9}).load(1, 0, stream(0, "data"))


@pytest.mark.parametrize("part", ["A", "graph_indicator", "graph_labels", "node_labels"])
def test_one_line_of_more_numbers_than_memory_is_for_is_refused_as_it_stands(tmp_path, part):
    """Their list would be thirty times as large as the line."""
    line = "11," * 300_000
    dataset = written(tmp_path, GOOD | {f"X/X_{part}.txt": f"{line}1\n"})
    tracemalloc.start()
    try:
        with pytest.raises(LabError, match=rf"a line in _{part}\.txt without (2 numbers|1 number); take the file as published"):
            dataset.load(1, 0, stream(0, "data"))
        assert tracemalloc.get_traced_memory()[1] < 12 * len(line)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("left_out", ["X/X_A.txt", "X/X_graph_indicator.txt", "X/X_graph_labels.txt"])
def test_a_zip_that_lacks_a_file_names_it(tmp_path, left_out):
    files = {name: text for name, text in GOOD.items() if name != left_out}
    with pytest.raises(LabError, match=left_out.removeprefix("X/X")):
        written(tmp_path, files).load(1, 0, stream(0, "data"))


def test_what_is_no_zip_is_refused(tmp_path):
    (tmp_path / "X.zip").write_bytes(b"PK\x03\x04nothing")
    for dataset in (TU(str(tmp_path / "X.zip")), TU(""), TU(str(tmp_path))):
        with pytest.raises(LabError, match=r"\.$"):
            dataset.load(1, 0, stream(0, "data"))


@pytest.mark.parametrize("graph", [([0], []), ([0, 0], []), ([0, 1], [(0, 1)])], ids=["one atom", "no bonds", "one bond"])
def test_the_smallest_graphs_end_in_a_verdict(graph):
    observation, batch = seen(graph)
    *_, last = attacked(observation)
    assert last.outcome is not None
    if last.outcome in READ:
        assert mapping(graphs_of(last.candidate)[0], graphs_of(batch)[0]) is not None


@pytest.mark.parametrize("said", ["gradient_matching", "gradient_matching:iterations=1", "gradient_matching:priors=none"])
def test_matching_that_says_nothing_of_priors_runs_on_graphs(said):
    """The usual prior knows pictures: unasked it is left out; asked for, it is refused in a sentence."""
    link = read(f"network=gcn&network.width=16&attack={said}&iterations=1")
    assert link.notices == ()
    assert isinstance(link.experiment.attack, GradientMatching)
    observation, _ = seen(parse("CC(=O)O"), link.experiment.network)
    *_, last = link.experiment.attack.reconstruct(observation, stream(0, "attack"))
    assert last.outcome is not None
    chosen = replace(link.experiment.attack, priors=(TotalVariation(weight=0.5),))
    with pytest.raises(LabError, match="knows how pictures look, and graphs are sought; leave it out"):
        next(chosen.reconstruct(observation, stream(0, "attack")))


def test_several_graphs_and_noise_are_no_exact_claim():
    several = simulate_round(Experiment(dataset=Molecules(), network=GCN(width=32), batch_size=2))
    *_, last = attacked(several.observation)
    assert last.outcome is GraphOutcome.SEVERAL
    observation, _ = seen(parse("CC(=O)O"))
    noisy = {
        name: tensor + 0.1 * tensor.norm() * torch.randn(tensor.shape, generator=stream(1, name))
        for name, tensor in observation.update.items()
    }
    *_, last = attacked(replace(observation, update=noisy))
    assert last.outcome not in READ


@pytest.mark.parametrize("length", [1e-4, 1e-2, 0.3])
@pytest.mark.parametrize("line", ["CO", "CCO", "CC(=O)O"])
def test_under_noise_of_any_length_no_graph_is_said_to_have_a_gradient_that_it_does_not_have(line, length):
    observation, batch = seen(parse(line))
    noisy = {
        name: tensor + length * tensor.norm() * torch.randn(tensor.shape, generator=stream(1, name)) / tensor.numel() ** 0.5
        for name, tensor in observation.update.items()
    }
    *_, last = attacked(replace(observation, update=noisy))
    if last.outcome in READ:
        assert mismatch(replace(observation, update=noisy), last.candidate) < EXACT_MISMATCH
        assert isomorphic(last.candidate, batch).item() == 1 or last.outcome is GraphOutcome.TWINS
    assert (last.outcome in READ) or length > EXACT_MISMATCH


def _gives_up(*_, **__):
    raise RuntimeError


COUNTING = "lab.attacks.graph.integer_counts"
LESS = {
    "MAX_COUNTED_TYPES": (f"{COUNTING}.nnls", {}),
    "MAX_INTEGER_PROGRAMMES": (f"{COUNTING}._integer_programme", {f"{COUNTING}.nnls": _gives_up}),
    "MAX_ASSEMBLED": ("lab.attacks.graph.assembly.assemble", {}),
}


@pytest.mark.parametrize(("bound", "work", "so_that_it_is_needed"), [(bound, *how) for bound, how in LESS.items()], ids=LESS)
def test_what_takes_time_is_bounded_over_all_attempts(bound, work, so_that_it_is_needed, monkeypatch):
    """Where nothing of it is allowed nothing of it is done, and the graph ends in a sentence that says so."""
    done = []
    monkeypatch.setattr(f"lab.attacks.graph.bounds.{bound}", 0)
    for place, instead in {work: lambda *args, **more: done.append(args), **so_that_it_is_needed}.items():
        monkeypatch.setattr(place, instead)
    *_, last = attacked(simulate_round(Experiment(dataset=Molecules("caffeine"), network=GCN())).observation)
    assert (done, last.outcome) == ([], GraphOutcome.TOO_MANY)


TOLD = [
    ("vanillin", GCN()),
    ("nicotine", GCN()),
    ("caffeine", GCN(layers=1)),
    ("paracetamol", GCN(layers=3)),
    ("caffeine", GraphSAGE()),
]


@pytest.mark.parametrize(("name", "network"), TOLD, ids=str)
def test_a_graph_is_told_bit_by_bit_and_nothing_that_was_told_is_taken_back(name, network):
    """Atoms by their neighbourhoods, as many as each counts, then bonds, one at a time; the last state is the whole."""
    round_ = simulate_round(Experiment(dataset=Molecules(name), network=network))
    first, *told = attacked(round_.observation)
    last = told[-1]
    assert last.outcome in READ
    assert first.whole is None
    assert [state.iteration for state in told] == list(range(1, len(told) + 1))
    assert {state.iterations for state in told} == {len(told)}
    assert (last.other is not None) == (last.outcome is GraphOutcome.TWINS)
    before = torch.zeros(())
    for state in told:
        for part in ("atoms", "bonds"):
            rest = state.whole[part] - state.candidate[part]
            assert ((rest == 0) | (rest == 1)).all(), "a part of the whole"
        grown = state.candidate["atoms"].sum() + state.candidate["bonds"].sum() / 2
        assert grown > before
        before = grown
    assert torch.equal(last.candidate["bonds"], last.whole["bonds"])
    (graph,) = graphs_of(last.candidate)
    counts = Counter(_spelt(graph, node) for node in graph)
    read = {what: int(count) for what, count in (reading.what.split(" ×") for reading in last.recovered_parts)}
    assert read == counts
    assert all(reading.distance < 1e-3 < reading.runner_up_distance for reading in last.recovered_parts)


def _spelt(graph, node):
    """An atom and its neighbours by networkx alone."""
    around = sorted((graph.nodes[other]["kind"], graph.degree[other]) for other in graph[node])
    lowered = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
    names = [ATOMS[kind] + (str(degree).translate(lowered) if degree > 1 else "") for kind, degree in around]
    return f"{ATOMS[graph.nodes[node]['kind']]}({''.join(names)})"


def drawn(inputs, **beside):
    return Graphs().shown(inputs, Beside(**beside)).words["places"]


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.integers(0, 10**6))
def test_one_graph_is_drawn_at_the_same_places_whatever_the_order_of_its_nodes(nodes, seed):
    graph = _coloured(nx.gnp_random_graph(nodes, 0.4, seed=seed))
    truth = batch_of([([node % 3 for node in graph], list(graph.edges))], 3)
    found = shuffled(truth, seed)
    ((first,), (second,)) = drawn(truth), drawn(found, truth=truth)
    assert sorted(first) == sorted(second)
    named = [
        {place: int(kind.argmax()) for place, kind in zip(places, atoms, strict=True)}
        for places, atoms in ((first, truth["atoms"][0]), (second, found["atoms"][0]))
    ]
    assert named[0] == named[1], "each kind where it stood"
    bonds = [
        {frozenset((places[one], places[other])) for one, other in inputs["bonds"][0].nonzero().tolist()}
        for places, inputs in ((first, truth), (second, found))
    ]
    assert bonds[0] == bonds[1]


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 9), st.integers(0, 10**6))
def test_a_part_stands_where_its_whole_does_and_a_twin_keeps_to_the_paper(nodes, seed):
    graph = _coloured(nx.gnp_random_graph(nodes, 0.5, seed=seed))
    truth = batch_of([([0] * nodes, list(graph.edges))], 2)
    part = {"atoms": truth["atoms"], "bonds": torch.zeros_like(truth["bonds"])}
    assert drawn(part, truth=truth, whole=truth) == drawn(truth)
    other = batch_of([([0] * nodes, list(nx.gnp_random_graph(nodes, 0.5, seed=seed + 1).edges))], 2)
    shown = Graphs().shown(truth, Beside(truth=truth, other=other))
    assert len(shown.values) == len(shown.words["places"]) == len(shown.words["told"]) == 1 + shown.words["twins"] == 2
    assert all(0 <= share <= 1 for places in shown.words["places"] for place in places for share in place)


def test_pieces_that_no_bond_joins_stand_near_one_another():
    """Two rings and an atom alone: none is crushed to a point by the way between them."""
    ring = [(node, (node + 1) % 6) for node in range(6)]
    graph = batch_of([([0] * 13, ring + [(one + 6, other + 6) for one, other in ring])], 2)
    (places,) = drawn(graph)
    nearest = min(abs(x - a) + abs(y - b) for place, (x, y) in enumerate(places) for a, b in places[:place])
    assert nearest > 0.05
