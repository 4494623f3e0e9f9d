"""Changes that come quickly end where the same ones end that come slowly, and one that is refused takes nothing along."""

import asyncio
import io
import json

import pytest
from adversarial_inputs import a_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from PIL import Image
from test_session import opened, until

from lab import Experiment, LabError, simulate_round
from lab.experiments.edits import edit
from widgets.form.steps import STEPS
from widgets.playback.playback import Playback
from widgets.run import jobs
from widgets.run.comparison import Comparison
from widgets.run.requests import MAX_PENDING, MAX_UNDOS, Requests
from widgets.run.session import Session
from widgets.views import guess
from widgets.views.chips import Chips
from widgets.views.compare import Compare
from widgets.views.controls import Controls
from widgets.views.guess import Guess
from widgets.views.share import Share

TOO_MANY = 99
"""Pictures: more than the gallery holds, which is known only once the round is prepared."""


def form(path, value):
    return ("rail", {"type": "edit", "path": path, "value": value}, [])


def a_picture():
    file = io.BytesIO()
    Image.effect_noise((40, 40), 70).save(file, "PNG")
    return file.getvalue()


FORM = [form("seed", 3), form("seed", 4), form("batch_size", 4), form("network", "lenet"), form("labels", "joint")]
FORM += [form("picture", "cat"), form("trained", True), form("local_steps", 5), form("defence", "pruning")]
REFUSED = [
    form("seed", -1),
    form("network", "nope"),
    form("dataset.path", "/etc"),
    form("tv", False),
    form("batch_size", "two"),
]
OTHER = [("chips", {"choose": step.key}, []) for step in STEPS]
OTHER += [("guess", {"type": "begin"}, []), ("rail", {"type": "upload", "name": "me.png"}, [a_picture()])]
OTHER += [("share", {"type": "open"}, [json.dumps(a_run(experiment={"seed": 8})).encode()])]
UNDO = ("rail", {"type": "undo"}, [])
FAILING = form("batch_size", TOO_MANY)

stories = some.one_of(
    some.lists(some.sampled_from([*FORM, *REFUSED, *OTHER, UNDO]), min_size=2, max_size=8),
    some.lists(some.sampled_from([*FORM, *REFUSED, *OTHER, FAILING]), min_size=2, max_size=8),
)


@pytest.fixture
def cheap(monkeypatch):
    """Rounds that cost nothing, but for those that cannot be had; a guess that is no chance."""
    attacked = simulate_round(Experiment(network=edit(Experiment(), "network", "mlp").network))

    def simulate(experiment):
        if experiment.batch_size == TOO_MANY:
            raise LabError("The gallery holds fewer pictures.")
        return attacked, "one thread"

    class Settled:
        def choice(self, names):
            return names[0]

    monkeypatch.setattr(jobs, "simulate", simulate)
    monkeypatch.setattr(guess.random, "SystemRandom", Settled)
    monkeypatch.setattr(Comparison, "start", lambda self, experiments: None)
    monkeypatch.setattr(Session, "start", lambda self: None)  # what is attacked at once is prepared, and no more


async def told(story, *, slowly):
    """The experiment after a story, and the experiments to which one after another undo leads back."""
    async with opened({}) as session:
        film = Playback(session)
        views = {"rail": Controls, "chips": Chips, "guess": Guess, "share": Share}
        made = {name: kind(film, session) for name, kind in views.items()}
        await until(session, "ready")
        for view, content, buffers in story:
            made[view]._receive(None, content, buffers)
            if slowly:
                await until(session, "ready", "finished")
        await until(session, "ready", "finished")
        end, back = session.experiment, []
        assert session.wanted == end
        while session.can_undo:
            session.undo()
            await until(session, "ready")
            back.append(session.experiment)
        return end, back


@settings(max_examples=15, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(stories)
def test_quick_changes_of_all_kinds_end_as_slow_ones_do(cheap, story):
    quick, slow = (asyncio.run(told(story, slowly=slowly)) for slowly in (False, True))
    assert quick[0] == slow[0]
    if FAILING not in story:
        assert quick[1] == slow[1]


def test_of_quick_changes_only_the_one_that_cannot_be_prepared_is_lost(cheap):
    end, back = asyncio.run(told([form("seed", 3), FAILING, form("network", "lenet")], slowly=False))
    seeded = edit(Experiment(), "seed", 3)
    assert end == edit(seeded, "network", "lenet")
    assert back == [seeded, Experiment()]


def test_a_comparison_is_of_what_was_asked_for_last(cheap, monkeypatch):
    begun = []
    monkeypatch.setattr(Comparison, "start", lambda self, experiments: begun.extend(experiments))

    async def story():
        async with opened({}) as session:
            await until(session, "ready")
            film = Playback(session)
            rail, compare = Controls(film, session), Compare(film, session)
            rail._receive(None, {"type": "edit", "path": "network", "value": "lenet"}, [])
            compare._receive(None, {"type": "compare", "path": "seed", "values": [0, 1]}, [])
            assert [(each.network.name, each.seed) for each in begun] == [("lenet", 0), ("lenet", 1)]

    asyncio.run(story())


def test_what_can_be_taken_back_is_bounded():
    requests = Requests()
    requests.begin(Experiment())
    for seed in range(1, 3 * MAX_UNDOS):
        assert requests.take(lambda experiment, seed=seed: edit(experiment, "seed", seed))
    assert len(requests.plan.steps) == MAX_PENDING
    present = requests.plan.base
    for step in requests.plan.steps:
        present = step(present)
    assert present == requests.wanted
    requests.settle()
    back = 0
    while requests.undo():
        back += 1
    assert back == MAX_UNDOS
