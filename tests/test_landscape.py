"""The map: its cells are attacks that the form can make, as they ship they are what they say, and others come first."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
from test_session import opened, until, until_so

from lab import Experiment, LabError
from lab.client.datasets.unknown import Unknown
from lab.experiments import links
from lab.experiments.cost.products import products_per_second
from lab.experiments.edits import edit
from lab.modalities.line_up import Verdict
from lab.options.catalogue import entries
from widgets.form.costs import costs_of
from widgets.landscape import filling
from widgets.landscape.cells import SIDE, Cell, computed
from widgets.landscape.filling import Filling
from widgets.landscape.grids import GRIDS
from widgets.landscape.known import seconds_here
from widgets.landscape.recording import recorded
from widgets.playback.playback import Playback
from widgets.views.landscape import Landscape

EVERY = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)


@EVERY
def test_each_cell_is_another_experiment_that_travels_in_a_link_and_has_a_verdict(grid):
    experiments = [grid.experiment(*place) for place in grid.cells]
    assert len(set(experiments)) == len(experiments)
    for place, experiment in zip(grid.cells, experiments, strict=True):
        assert links.read(links.write(experiment, covered=True)).experiment == experiment
        cell = recorded(grid.name).cells[place]
        assert Verdict(cell.verdict)
        assert cell.picture.shape == (SIDE, SIDE, 3)


@EVERY
def test_a_cell_comes_out_again_as_it_ships(grid):
    """The quickest of each grid: the others cost minutes."""
    cells = recorded(grid.name).cells
    place = min(cells, key=lambda each: cells[each].seconds)
    again = computed(grid.experiment(*place))
    assert (again.verdict, again.place) == (cells[place].verdict, cells[place].place)
    assert np.abs(again.picture.astype(float) - cells[place].picture).mean() < 8


def test_what_was_measured_is_told_by_the_rate_of_this_machine():
    told = []
    for name, grid in GRIDS.items():
        told += [(grid.experiment(*place), cell.seconds * recorded(name).rate) for place, cell in recorded(name).cells.items()]
    for experiment in dict(told):
        work = [each for other, each in told if other == experiment]
        assert seconds_here(experiment) * products_per_second() in [pytest.approx(each) for each in work]
        assert costs_of(experiment).present == seconds_here(experiment)
    assert seconds_here(Experiment(seed=77)) is None


def test_cells_are_computed_while_nothing_else_is_and_one_that_was_cut_short_anew(monkeypatch):
    begun, held, told = [], [True], []

    def slow(experiment, stopped):
        begun.append(experiment.seed)
        while held[0] and not stopped():
            pass
        return None if stopped() else Cell("Hidden", "8/8", "0 dB", 0.0, np.zeros((SIDE, SIDE, 3), np.uint8))

    monkeypatch.setattr(filling, "computed", slow)

    async def story():
        async with opened() as session:
            await until(session, "ready")
            cells = Filling(session, lambda *found: told.append(found), told.append)
            cells.begin([((0, seed), Experiment(seed=seed)) for seed in range(3)])
            await until_so(lambda: begun == [0])
            session.start()
            await until(session, "finished")
            assert told == []
            held[0] = False
            await until_so(lambda: len(told) == 3)
            assert [(place, left) for place, _, left in told] == [((0, 0), 2), ((0, 1), 1), ((0, 2), 0)]
            assert begun == [0, 0, 1, 2]
            held[0] = True
            cells.begin([((0, 0), Experiment(seed=5))])
            await until_so(lambda: begun[-1] == 5)
            cells.stop()
            session.start()
            await until(session, "finished")
            assert len(told) == 3

    asyncio.run(story())


def test_the_map_sends_what_ships_computes_on_ones_own_secret_and_opens_a_cell():
    async def story():
        async with opened({"dataset": {"name": "gallery", "first": "owl"}}) as session:
            await until(session, "ready")
            shown, sent = Landscape(Playback(session), session), []
            shown.send = lambda content, buffers=None: sent.append((content, buffers or []))
            for grid in GRIDS:
                shown._receive(None, {"type": "show", "grid": grid}, [])
                content, buffers = sent.pop()
                assert len(content["cells"]) == len(buffers) == len(GRIDS[grid].cells)
            shown._receive(None, {"type": "fill", "grid": "noise"}, [])
            assert sent.pop()[0]["left"] == len(GRIDS["noise"].cells)
            shown._receive(None, {"type": "stop"}, [])
            for wrong in ({"grid": "none"}, {"grid": "noise", "row": 0}, {"grid": "noise", "row": -1, "column": 0}):
                shown._receive(None, {"type": "open"} | wrong, [])
                assert session.wanted.defences == ()
            shown._receive(None, {"type": "open", "grid": "noise", "row": 3, "column": 0}, [])
            assert session.wanted.dataset.first == "owl"
            assert session.wanted.defences[0].strength == 3
            shown._receive(None, {"type": "show", "grid": "noise"}, [])
            shown._receive(None, {"type": "open", "grid": "noise", "row": 3, "column": 0}, [])
            assert session.wanted == GRIDS["noise"].experiment(3, 0)

    asyncio.run(story())


def listening(session):
    """The map of a session, and what it says."""
    shown, sent = Landscape(Playback(session), session), []
    shown.send = lambda content, buffers=None: sent.append(content)
    return shown, sent


def test_why_a_cell_has_none_is_said_and_the_others_are_computed(monkeypatch):
    def dear(experiment, stopped):
        raise LabError(f"Seed {experiment.seed} costs too much.")

    monkeypatch.setattr(filling, "computed", dear)

    async def story():
        async with opened() as session:
            await until(session, "ready")
            shown, sent = listening(session)
            shown._receive(None, {"type": "fill", "grid": "noise"}, [])
            await until_so(lambda: sent[-1].get("left") == 0)
            assert [each["sentence"] for each in sent if each["type"] == "said"] == ["Seed 0 costs too much."] * 10

    asyncio.run(story())


def test_of_what_has_no_map_it_is_said_and_a_cell_that_is_opened_is_one_of_those_shown(monkeypatch):
    monkeypatch.setattr(Filling, "begin", lambda self, experiments: None)

    async def story():
        async with opened() as session:
            await until(session, "ready")
            shown, sent = listening(session)
            for grid in GRIDS:
                shown.session = SimpleNamespace(wanted=Experiment(dataset=Unknown()))
                shown._receive(None, {"type": "fill", "grid": grid}, [])
                (said,) = sent
                assert "attack the update itself" in said["sentence"]
                sent.clear()
                shown.session = session
                shown._receive(None, {"type": "open", "grid": grid, "row": 0, "column": 0}, [])
                assert session.wanted == GRIDS[grid].experiment(0, 0)
            for name, modality in entries("modality").items():
                shown.session = SimpleNamespace(wanted=edit(Experiment(), "network", modality().network))
                sent.clear()
                shown._receive(None, {"type": "fill", "grid": "noise"}, [])
                told = [each["sentence"] for each in sent if each["type"] == "said"]
                assert told == [] if name == Experiment().modality.name else f"the present {modality().many}" in told[0]

    asyncio.run(story())
