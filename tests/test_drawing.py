"""A drawing is its own name: it travels in a link, is read while it is made, and nothing else passes for one."""

import asyncio
import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from test_session import opened, until, until_so

from lab import Experiment, LabError
from lab.client.datasets.drawing import COLOURS, SIDE, Drawing, decode, encode, painted
from lab.experiments import links
from lab.federated.networks.mlp import MLP
from widgets.playback.playback import Playback
from widgets.run.worker import Gate
from widgets.views.secret import Secret

CELLS = SIDE * SIDE
INKS = len(COLOURS)


def awaited(test):
    """A test that is a story of its own event loop."""

    @functools.wraps(test)
    def run(**given):
        asyncio.run(test(**given))

    return run


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def strokes(seed, count):
    """Lines between random places, two cells wide, each of another colour, as people draw them."""
    draws, cells = np.random.default_rng(seed), np.zeros((SIDE, SIDE), np.uint8)
    for stroke in range(count):
        start, end = draws.integers(0, SIDE - 1, (2, 2))
        for row, column in np.linspace(start, end, 40).round().astype(int):
            cells[row : row + 2, column : column + 2] = 1 + stroke % (INKS - 1)
    return cells.tobytes()


@settings(max_examples=50, deadline=None)
@given(some.binary(min_size=CELLS, max_size=CELLS).map(lambda noise: bytes(cell % INKS for cell in noise)))
def test_any_drawing_comes_back_from_its_code(cells):
    assert decode(encode(cells)) == cells
    assert Drawing.of(cells) == Drawing(encode(cells))


@pytest.mark.parametrize("seed", range(12))
def test_a_drawing_of_few_strokes_fits_a_link_beside_other_changes(seed):
    drawn = Drawing.of(strokes(seed, count=seed % 4))
    experiment = Experiment(network=MLP(width=64), seed=1234)
    query = links.write(replace(experiment, dataset=drawn))
    assert len(query) <= links.LONGEST
    assert links.read(query).experiment.dataset == drawn
    assert links.left_out(replace(experiment, dataset=drawn)) == ""


def test_what_is_too_fine_for_a_link_is_said():
    noise = Drawing.of(np.random.default_rng(0).integers(0, INKS, CELLS).astype(np.uint8).tobytes())
    assert "The link is too short for all of: dataset" in links.left_out(Experiment(dataset=noise))


ZEROS = "7c4xAQAADMMwiuWf9uNNHKqqqgcA"
"""A stream that would unpack to a megabyte of nothing begins like so; the first kilobyte of it is no drawing's end."""


@pytest.mark.parametrize("code", ["", "A", "AAAA", "é", "not a code", "....", "A" * 1200, ZEROS])
def test_no_other_text_passes_for_a_drawing(code):
    with pytest.raises(LabError, match="not that of a drawing"):
        Drawing(code)
    told = links.read(f"dataset=drawing:code={code}")
    assert told.experiment == Experiment() or code == ""
    assert told.notices


def test_a_code_never_unpacks_to_more_than_a_drawing():
    import base64
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = base64.b64encode(packer.compress(bytes(700_000)) + packer.flush(), b"_:").decode().rstrip("=")
    assert len(bomb) < 1200
    with pytest.raises(LabError, match="not that of a drawing"):
        Drawing(bomb)


@pytest.mark.parametrize("cells", [b"", bytes(CELLS - 1), bytes(CELLS + 1), bytes([INKS] * CELLS)])
def test_cells_that_are_no_drawing_are_counted(cells):
    with pytest.raises(LabError, match=f"{len(cells)} cells were given; give 1024"):
        Drawing.of(cells)


@pytest.mark.parametrize("size", [16, 32, 64, 224])
def test_the_line_up_is_of_other_drawings_in_the_same_inks(size):
    own = Drawing()
    secret = own.load(1, size, generator()).images
    others = own.others(1, 7, size, generator())
    assert others.shape == (7, 3, size, size)
    together = [tuple(picture.flatten().tolist()) for picture in (*secret, *others)]
    assert len(set(together)) == 8
    inks = {tuple(colour) for colour in secret.permute(0, 2, 3, 1).reshape(-1, 3).tolist()}
    assert {tuple(colour) for colour in others.permute(0, 2, 3, 1).reshape(-1, 3).tolist()} <= inks


def test_there_is_one_drawing():
    with pytest.raises(LabError, match="one drawing, not 2"):
        Drawing().load(2, 32, generator())


class Seen(Secret):
    """The card, which keeps what it says."""

    def send(self, content, buffers=None):
        self.said = [*getattr(self, "said", []), (content, buffers)]


async def secret_of(session):
    await until(session, "ready")
    return Seen(Playback(session, recorded=False), session)


@awaited
@pytest.mark.parametrize(
    "changes", [{}, {"network": {"name": "mlp", "width": 16, "depth": 3}}], ids=["convolutions", "connected"]
)
async def test_the_server_reads_what_is_being_drawn(changes):
    cells = strokes(3, 5)
    async with opened(changes) as session:
        card = await secret_of(session)
        card._receive(card, {"type": "sketch"}, [cells])
        await until_so(lambda: getattr(card, "said", None))
        ((content, buffers),) = card.said
        sent = content.pop("sent")
        assert content == {"type": "read", "height": SIDE, "width": SIDE}
        assert sent["kind"] == "gradient"
        assert sum(layer["count"] for layer in sent["layers"]) == sent["numbers"]
        drawn = painted(torch.tensor(list(cells)).view(1, SIDE, SIDE), SIDE)[0].permute(1, 2, 0).mul(255).round().numpy()
        read = np.frombuffer(buffers[0], np.uint8).reshape(SIDE, SIDE, 3)
        assert np.abs(read.astype(float) - drawn).max() <= 1
        assert session.experiment == session.wanted, "nothing has been changed"


@awaited
async def test_of_many_sketches_the_newest_is_read_and_a_run_makes_room_for_it():
    async with opened() as session:
        card = await secret_of(session)
        session.step(1)
        await until(session, "paused")
        for seed in range(20):
            card._receive(card, {"type": "sketch"}, [strokes(seed, 3)])
        over = []  # jobs are done one after another: this one after all that was asked before
        session.worker.do(lambda: True, Gate(), over.append, over.append)
        await until_so(lambda: over)
        assert len(card.said) < 20
        assert session.status == "finished"


@awaited
async def test_a_finished_drawing_is_the_secret_and_is_attacked_at_once():
    cells = strokes(5, 3)
    async with opened() as session:
        card = await secret_of(session)
        assert list(card.colours) == list(COLOURS)
        card._receive(card, {"type": "draw"}, [cells])
        await until(session, "finished")
        assert session.experiment.dataset == Drawing.of(cells)
        assert session.numbers["psnr_db"] > 15
        assert links.read(card.query).experiment == session.experiment
        assert card.too_fine == ""


@awaited
async def test_a_drawing_too_fine_for_a_link_has_none_and_the_card_says_so():
    async with opened() as session:
        card = await secret_of(session)
        card._receive(card, {"type": "draw"}, [np.random.default_rng(0).integers(0, INKS, CELLS).astype(np.uint8).tobytes()])
        await until(session, "finished")
        assert card.query == ""
        assert "too fine for a link" in card.too_fine


@awaited
@pytest.mark.parametrize("buffers", [[], [b""], [bytes(3)], [bytes([9]) * CELLS], [bytes(CELLS + 1)], ["text"]])
@pytest.mark.parametrize("kind", ["sketch", "draw"])
async def test_whatever_else_a_browser_sends_changes_nothing(kind, buffers):
    async with opened() as session:
        card = await secret_of(session)
        before = session.experiment
        card._receive(card, {"type": kind}, buffers)
        assert session.wanted == before
        assert session.message == ""
        for content, _ in getattr(card, "said", []):
            assert content["type"] == "refused"
            assert "1024" in content["sentence"]
