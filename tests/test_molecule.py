"""A molecule of one's own: drawn, carried by a link, read while it is drawn, and refused in a sentence where it is none."""

import asyncio
from dataclasses import replace

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_drawing import awaited, secret_of
from test_session import opened, until, until_so

from lab import Experiment, LabError
from lab.client.datasets.molecule import MAX_ATOMS, MAX_BONDS, Molecule
from lab.client.datasets.molecules import MOLECULES
from lab.experiments import links
from lab.federated.networks.gcn import GCN
from lab.modalities.graphs.building import batch_of, graphs_of
from lab.modalities.graphs.comparison import mapping
from lab.modalities.graphs.line_notation import ATOMS, parse, to_line
from widgets.run import opening
from widgets.run.worker import Gate


def graph_of(graph):
    return graphs_of(batch_of([graph], len(ATOMS)))[0]


@st.composite
def molecules(draw):
    """Any graph of few atoms with at most four bonds each: in pieces, with rings within rings, or without a bond."""
    atoms = draw(st.lists(st.integers(0, len(ATOMS) - 1), min_size=1, max_size=MAX_ATOMS))
    wanted = draw(st.lists(st.tuples(st.integers(0, len(atoms) - 1), st.integers(0, len(atoms) - 1)), max_size=60))
    free, bonds = [MAX_BONDS] * len(atoms), set()
    for one, other in wanted:
        if one != other and free[one] and free[other] and (min(one, other), max(one, other)) not in bonds:
            bonds.add((min(one, other), max(one, other)))
            free[one] -= 1
            free[other] -= 1
    return atoms, sorted(bonds)


@settings(max_examples=60, deadline=None)
@given(molecules())
def test_any_molecule_comes_back_from_its_line_and_from_its_link(graph):
    dataset = Molecule.of(*graph)
    assert nx.is_isomorphic(graph_of(parse(dataset.line)), graph_of(graph), node_match=lambda a, b: a["kind"] == b["kind"])
    experiment = Experiment(dataset=dataset, network=GCN())
    query = links.write(experiment)
    assert len(query) <= links.LONGEST
    assert links.read(query).experiment.dataset == dataset
    assert links.left_out(experiment) == ""


@pytest.mark.parametrize("line", MOLECULES.values())
def test_the_gallery_is_written_as_it_is_read(line):
    assert mapping(graph_of(parse(to_line(parse(line)))), graph_of(parse(line))) is not None


@settings(max_examples=40, deadline=None)
@given(molecules(), st.integers(0, 10**6))
def test_the_line_up_is_of_other_molecules_of_as_many_atoms_and_no_more_bonds(graph, seed):
    dataset = Molecule.of(*graph)
    others = dataset.others(1, 7, 0, torch.Generator().manual_seed(seed))
    assert others["atoms"].shape == (7, len(graph[0]), len(ATOMS))
    own = graph_of(graph)
    for other in graphs_of(others):
        assert mapping(own, other) is None
        assert max((degree for _, degree in other.degree), default=0) <= MAX_BONDS
        least = min(len(graph[1]), len(graph[0]) - 1)
        assert least <= other.number_of_edges() <= len(graph[1]), "as many, or as many as there are atoms free for"


REFUSED = {
    "no atoms": ([], [], "0 atoms were given"),
    "10,000 atoms": ([0] * 10_000, [], "10000 atoms were given; give 1 to 24"),
    "an unknown kind": ([0, 7], [], "unknown kind"),
    "a kind below none": ([-1], [], "unknown kind"),
    "a loop": ([0, 0], [(1, 1)], "back to its atom"),
    "twice": ([0, 0], [(0, 1), (1, 0)], "given twice"),
    "to nowhere": ([0, 0], [(0, 2)], "leads nowhere"),
    "five bonds": ([0] * 6, [(0, other) for other in range(1, 6)], "5 bonds; give it at most 4"),
}


@pytest.mark.parametrize(("kinds", "bonds", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_molecule_is_refused_in_a_sentence(kinds, bonds, said):
    with pytest.raises(LabError, match=said) as told:
        Molecule.of(kinds, bonds)
    assert str(told.value).endswith(".")
    assert len(str(told.value)) < 150


@pytest.mark.parametrize("line", ["", ".", "Xe", "C" * 25, "C" * 10_000, "C(C)(C)(C)(C)C", "C11", "C12CC12", "🧪", "CC\u202e"])
def test_a_link_to_no_molecule_gives_a_notice(line):
    told = links.read(f"network=gcn&dataset=molecule:line={line}")
    assert told.notices
    assert not isinstance(told.experiment.dataset, Molecule) or line == ""


def say(card, kind, kinds, bonds, **more):
    card._receive(card, {"type": kind, "kinds": kinds, "bonds": bonds, **more}, [])


GRAPHS = "?network=gcn"


@awaited
async def test_the_server_reads_a_molecule_while_it_is_drawn_and_then_attacks_it():
    """Acetic acid; the server's lies where the reader has drawn it."""
    kinds, bonds, places = [0, 0, 2, 2], [0, 1, 1, 2, 1, 3], [0.1, 0.9, 0.2, 0.4, 0.5, 0.3, 1.0, 0.0]
    async with opened(opening.from_link(GRAPHS)) as session:
        card = await secret_of(session)
        assert card.atoms == {"kinds": list(ATOMS), "most": MAX_ATOMS, "bonds": MAX_BONDS}
        before = session.experiment
        say(card, "sketch", kinds, bonds, places=places)
        await until_so(lambda: getattr(card, "said", None))
        ((content, buffers),) = card.said
        assert (content["type"], content["inputs"], content["words"]["told"]) == ("read", "graphs", ["2 C, 2 O, 3 bonds"])
        assert content["told"].startswith("Read off")
        assert sorted(map(tuple, content["words"]["places"][0])) == sorted(zip(places[::2], places[1::2], strict=True))
        assert len(buffers[0]) == 4 * 4 * (len(ATOMS) + 4)
        assert session.experiment == before, "nothing has been changed"
        say(card, "draw", kinds, bonds)
        await until(session, "finished")
        assert session.experiment == replace(before, dataset=Molecule.of(kinds, [(0, 1), (1, 2), (1, 3)]))
        assert session.numbers["isomorphic"] == 1
        assert links.read(card.query).experiment == session.experiment
        assert card.too_fine == ""
        (last,) = session.frames[-1].words["places"]
        assert sorted(map(tuple, last)) == sorted(map(tuple, session.round_info["words"]["places"][0]))


@awaited
async def test_whatever_else_is_said_of_molecules_changes_nothing_and_is_told_where_it_can_be():
    async with opened(opening.from_link(GRAPHS)) as session:
        card = await secret_of(session)
        before = session.wanted
        for kinds, bonds, said in REFUSED.values():
            for kind in ("sketch", "draw"):
                card.said = []
                say(card, kind, kinds, [end for bond in bonds for end in bond])
                ((content, _),) = card.said
                assert content["type"] == "refused"
                assert said in content["sentence"]
        card.said = []
        for kinds, bonds in ((None, []), ([0.5], []), (["C"], []), ([0], None), ([0], {}), ({}, []), ([[0]], [])):
            say(card, "draw", kinds, bonds)
            say(card, "sketch", kinds, bonds)
        for places in (None, [], [0.1], [2, 2], ["a", "b"], [float("nan"), 0]):
            say(card, "sketch", [0], [], places=places)
        over = []
        session.worker.do(lambda: True, Gate(), over.append, over.append)
        await until_so(lambda: over)
        assert {content["type"] for content, _ in card.said} <= {"read"}
        assert session.wanted == before


@pytest.mark.parametrize("graph", [([0], []), ([0, 0, 2], []), ([0, 1, 2], [(0, 1)])], ids=["one atom", "no bonds", "pieces"])
def test_the_least_molecules_run_to_a_verdict(graph):
    async def story():
        async with opened(opening.from_link(f"{GRAPHS}&dataset=molecule:line={Molecule.of(*graph).line}")) as session:
            await until(session, "ready")
            session.start()
            await until(session, "finished")
            assert session.frames[-1].words["told"]
            assert session.message.endswith(".")

    asyncio.run(story())
