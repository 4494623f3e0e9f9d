"""An update that was opened, behind the page and without a browser: attacked, judged by itself, diagnosed, taken away."""

import asyncio
import json

import pytest
from rounds import smooth_batch
from test_imported_update import captured
from test_session import opened as living
from test_session import until, until_so

from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.protocols.fedavg import FedAvg
from widgets.files import run_file
from widgets.form.contrasts import contrasts
from widgets.form.controls import schema
from widgets.playback.playback import Playback, round_data
from widgets.run.comparison import Comparison
from widgets.views.compare import Compare
from widgets.views.controls import Controls
from widgets.views.doctor import Doctor
from widgets.views.panel import Panel
from widgets.views.share import Share


@pytest.fixture(scope="module")
def update(tmp_path_factory):
    """One picture through a fully connected network, one local step."""
    folder = tmp_path_factory.mktemp("update")
    return captured(folder, MLP(width=16, depth=2), smooth_batch(), FedAvg(local_steps=1, learning_rate=0.05))[0]


async def take(session, data, name="mine.safetensors"):
    """Open it, and wait for what comes of it; the sentence, empty where it was taken."""
    answers = []
    assert session.open_update(data, name, answers.append) == ""
    await until_so(lambda: answers)
    await until(session, "ready", "finished", "failed")
    return answers[0]


def test_an_update_is_attacked_with_all_that_the_page_can_do(update):
    async def story():
        async with living() as session:
            await until(session, "ready")
            views = Doctor(None, session), Panel(None, session), Share(None, session), Playback(session)
            assert await take(session, update) == ""
            assert session.experiment.network == MLP(width=16, depth=2)
            assert session.round_info["unknown"] == "mine.safetensors"
            assert not {"images", "line_up", "tile", "alt", "label"} & session.round_info.keys()
            assert json.dumps({k: v for k, v in round_data(session.round_info).items() if k != "sample"})
            await until_so(lambda: session.diagnosis)
            assert "It looks like 1 picture." in session.diagnosis
            assert views[0].diagnosis == session.diagnosis
            assert "No shape tells its activation" in session.diagnosis[0]
            assert views[1].algebra["readable"]
            assert views[1].algebra["truth"] is None
            assert "export the run" in views[2].left_out
            assert views[3].round["unknown"]
            assert session.edit("attack", "analytic") == ""
            await session.finish()
            last = session.frames[-1]
            assert last.verdict == "Explains it"
            assert last.numbers["residual"] < 0.01
            assert not {"psnr_db", "line_up_rank", "pictures"} & last.numbers.keys()
            kept = run_file.read(session.export("json"))
            assert (kept.experiment, kept.frames[-1].verdict) == (session.experiment, "Explains it")
            assert session.export("png")[:4] == b"\x89PNG"
            assert kept.frames[-1].numbers["residual"] == last.numbers["residual"]
            session.undo()
            await until(session, "ready")
            assert session.experiment.attack.name != "analytic"
            assert session.open_run(run_file.to_bytes(kept)) == ""
            await until(session, "finished")
            assert session.frames[-1].verdict == "Explains it"

    asyncio.run(story())


def test_the_layers_are_undone_without_a_truth(tmp_path):
    async def story():
        data, _ = captured(tmp_path, SmallConvNet(width=4), smooth_batch())
        async with living() as session:
            await until(session, "ready")
            assert await take(session, data) == ""
            session.descend()
            await until_so(lambda: session.descent.get("status") in ("done", "failed"))
            assert session.descent["status"] == "done", session.descent
            assert all(layer["error"] is None for layer in session.descent["layers"])

    asyncio.run(story())


def test_two_attacks_on_it_stand_side_by_side(update):
    async def story():
        async with living() as session:
            await until(session, "ready")
            await take(session, update)
            compare = Compare(None, session)
            assert [each["path"] for each in compare.contrasts] == [each["path"] for each in contrasts(session.experiment)]
            sides = Comparison(session)
            sides.follow(lambda moment: sides.acknowledge(moment[0].id))
            sides.start([session.experiment] * 2)
            await until_so(lambda: sides.status in ("finished", "failed"))
            assert [frame.verdict for frame in sides.frames[-1]] == ["Explains it"] * 2

    asyncio.run(story())


def test_what_the_form_offers_of_it_can_be_had(update):
    """Neither trained weights nor a defence nor known labels; everything else is as of other experiments."""

    async def story():
        async with living() as session:
            await until(session, "ready")
            before = {control["path"] for control in schema(session.experiment)}
            await take(session, update)
            offered = {control["path"]: control for control in schema(session.experiment)}
            assert before - offered.keys() <= {"trained", "defence", "attack.iterations", "tv", "iterations", "distance"} | {
                path for path in before if path.startswith("attack.")
            }
            assert [option["value"] for option in offered["labels"]["options"]] == ["inferred", "joint"]
            network = session.experiment.network
            assert session.edit("network", "lenet") == ""
            await until_so(lambda: session.status == "ready" and session.wanted.network == network)
            assert "another" in session.message

    asyncio.run(story())


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 a pickle", b"\xff" * 100])
def test_what_is_no_update_leaves_everything_as_it_was(data):
    async def story():
        async with living() as session:
            await until(session, "ready")
            before = session.experiment
            form = Controls(None, session)
            form._receive(None, {"type": "update", "name": "x\n\u202e" + "y" * 300}, [data])
            await until_so(lambda: form.errors)
            assert form.errors["picture"].endswith(".")
            assert session.message == form.errors["picture"]
            assert "\n" not in session.message
            assert session.experiment is before

    asyncio.run(story())
