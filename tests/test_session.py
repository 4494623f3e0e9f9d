"""The session without a browser: one worker, newest state only, nothing lost, every failure a sentence."""

import asyncio
import threading
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from lab import Experiment
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.recursive import Recursive
from lab.errors import LabError
from lab.experiments import driving
from widgets import Lab, Lesson
from widgets.form import costs
from widgets.playback.playback import Playback
from widgets.run import frame_buffer, history, jobs, opening, preparing, runner
from widgets.run import session as session_module
from widgets.run.session import Session
from widgets.run.worker import Gate
from widgets.views.chips import Chips
from widgets.views.guess import Guess

QUICK = {"network": {"name": "mlp", "width": 16, "depth": 2}, "attack": {"name": "gradient_matching", "iterations": 40}}


@asynccontextmanager
async def opened(changes=QUICK, *, acknowledge=True, pace=0.0):
    session = Session(changes)
    session.pace_seconds = pace
    if acknowledge:
        session.on_frame(lambda frame: session.acknowledge(frame.id))
    try:
        yield session
    finally:
        session.close()


async def until_so(condition):
    """Whoever waits for what never comes is ended by the test's timeout."""
    while not condition():
        await asyncio.sleep(0.01)


async def until(session, *statuses):
    await until_so(lambda: session.status in statuses)


class Turnstile(Gate):
    """A gate that counts the states let through, and knows when the attack stands before it."""

    def __init__(self):
        super().__init__()
        self.asked = self.passed = 0

    def take(self):
        self.asked += 1
        passes = super().take()
        self.passed += passes
        return passes

    @property
    def is_waited_at(self):
        return self.asked > self.passed and not self.running


class CountingBuffer(frame_buffer.FrameBuffer):
    """Counts the states that came and how often somebody looked whether one is to be sent."""

    posted = looked = 0

    def post(self, run, state):
        self.posted += 1
        super().post(run, state)

    @property
    def waits(self):
        self.looked += 1
        return super().waits


def workers():
    return [thread for thread in threading.enumerate() if thread.name == "attack" and thread.is_alive()]


def test_a_run_goes_from_loading_to_a_verdict():
    async def story():
        async with opened() as session:
            seen = []
            session.observe(lambda change: seen.append(change.new), "status")
            session.start()  # before anything is loaded: queued
            await until(session, "finished")
            assert seen == ["ready", "running", "finished"]
            assert session.iteration == session.iterations == 40
            assert session.frames[-1].iteration == 40
            assert session.numbers["verdict"] == session.frames[-1].verdict
            assert session.attack_seconds > 0
            assert session.message == "All iterations are done."

    asyncio.run(story())


def test_twenty_starts_leave_one_worker():
    async def story():
        before = len(workers())
        async with opened() as session:
            for _ in range(20):
                session.start()
            await until(session, "finished")
            assert len(workers()) == before + 1
        assert len(workers()) == before

    asyncio.run(story())


def test_what_left_the_phone_is_put_into_words_by_the_worker(monkeypatch):
    """Epsilon is accounted for it, which takes seconds the first time: the page answers meanwhile."""
    by, describe = [], preparing.describe_round

    def watched(experiment, attacked):
        by.append(threading.current_thread().name)
        return describe(experiment, attacked)

    monkeypatch.setattr(preparing, "describe_round", watched)

    async def story():
        async with opened(QUICK | {"defences": [{"name": "dp_sgd"}]}) as session:
            await until(session, "ready")
            assert by == ["attack"]
            assert "epsilon" in " ".join(session.round_info["notes"])

    asyncio.run(story())


def test_pause_stands_still_and_steps_are_counted(monkeypatch):
    monkeypatch.setattr(runner, "Gate", Turnstile)

    async def story():
        async with opened(QUICK | {"attack": {"name": "gradient_matching", "iterations": 100_000}}) as session:
            session.start()
            await until_so(lambda: session.iteration > 0)
            session.pause()
            assert session.status == "paused"
            gate = session.runner.gate
            await until_so(lambda: gate.is_waited_at and session.iteration == gate.passed - 1)
            halted = session.iteration
            session.step(10)
            await until_so(lambda: gate.is_waited_at and session.iteration == gate.passed - 1)
            assert session.status == "paused"
            assert session.iteration == halted + 10

    asyncio.run(story())


def test_stop_keeps_what_was_found_and_start_begins_anew():
    async def story():
        async with opened(QUICK | {"attack": {"name": "gradient_matching", "iterations": 100_000}}) as session:
            session.start()
            await until_so(lambda: session.frames)
            session.stop()
            await until(session, "finished")
            assert session.message == "Stopped before the budget was spent."
            kept = len(session.frames)
            assert kept > 0
            session.edit("iterations", 5)
            session.start()
            await until(session, "finished")
            assert session.frames[-1].iteration == 5

    asyncio.run(story())


def test_no_run_lasts_for_ever(monkeypatch):
    monkeypatch.setattr(jobs, "RUN_LIMIT_S", 0.1)

    async def story():
        async with opened(QUICK | {"attack": {"name": "gradient_matching", "iterations": 100_000}}) as session:
            session.start()
            await until(session, "finished")
            assert session.message == jobs.OVER_THE_LIMIT
            assert session.frames

    asyncio.run(story())


def test_an_unacknowledged_frame_holds_the_next_back(monkeypatch):
    """However many states have come and however often the reel was looked at; then the newest is sent."""
    monkeypatch.setattr(frame_buffer, "ACKNOWLEDGE_S", 1e9)
    monkeypatch.setattr(session_module, "FrameBuffer", CountingBuffer)

    async def more_of_each(buffer):
        posted, looked = buffer.posted + 3, buffer.looked + 3
        await until_so(lambda: buffer.posted >= posted and buffer.looked >= looked)

    async def story():
        changes = QUICK | {"attack": {"name": "gradient_matching", "iterations": 100_000}}
        async with opened(changes, acknowledge=False) as session:
            session.start()
            await until_so(lambda: session.frames)
            await more_of_each(session.frame_buffer)
            assert len(session.frames) == 1
            session.acknowledge(session.frames[-1].id)
            await until_so(lambda: len(session.frames) > 1)
            await more_of_each(session.frame_buffer)
            assert len(session.frames) == 2
            assert session.frames[1].iteration > session.frames[0].iteration + 1

    asyncio.run(story())


def test_without_a_heartbeat_the_run_pauses(monkeypatch):
    monkeypatch.setattr(session_module, "HEARTBEAT_S", 0.2)

    async def story():
        changes = QUICK | {"attack": {"name": "gradient_matching", "iterations": 100_000}}
        async with opened(changes) as session:
            await until(session, "ready")
            session.heartbeat()
            session.start()
            await until(session, "paused")
            assert "page was closed" in session.message

    asyncio.run(story())


def test_edits_answer_in_words_and_undo_restores():
    async def story():
        async with opened() as session:
            assert "still loading" in session.edit("seed", 1)
            await until(session, "ready")
            first = session.experiment
            assert session.edit("network", "lenet") == ""
            await until(session, "ready")
            assert session.experiment.network.name == "lenet"
            assert "Did you mean 'lenet'" in session.edit("network", "lennet")
            assert session.experiment.network.name == "lenet"
            session.undo()
            await until(session, "ready")
            assert session.experiment == first

    asyncio.run(story())


def test_a_chip_and_a_start_before_the_lab_is_loaded_both_count():
    async def story():
        async with opened() as session:
            chips = Chips(Playback(session), session)
            chips._receive(chips, {"choose": "batch"}, [])
            await until(session, "finished")
            assert session.experiment.batch_size == 8

    asyncio.run(story())


def test_what_was_requested_early_is_the_first_round_and_the_last_request_counts():
    async def story():
        async with opened() as session:
            rounds = []
            session.observe(lambda change: rounds.append(change.new), names=["round_info"])
            chips, guess = Chips(Playback(session), session), Guess(Playback(session), session)
            chips._receive(chips, {"choose": "batch"}, [])
            guess._receive(guess, {"type": "begin"}, [])
            await until(session, "ready", "running")
            assert (session.experiment.batch_size, chips.chosen) == (1, "")
            assert session.experiment.dataset.first != Experiment().dataset.first
            assert len(rounds) == 1

    asyncio.run(story())


@pytest.fixture
def gate(monkeypatch):
    """No round is computed before it is set."""
    gate, simulate = threading.Event(), jobs.simulate
    monkeypatch.setattr(jobs, "simulate", lambda experiment: gate.wait() and simulate(experiment))
    yield gate
    gate.set()


@pytest.mark.parametrize("late", [False, True], ids=["before the default is there", "while its round is computed"])
def test_an_early_request_waits_for_the_link_that_the_page_came_with(late, gate):
    async def story():
        async with opened({}) as session:
            chips = Chips(Playback(session), session)
            if late:
                await until_so(lambda: session.wanted is not None)
            session.open_link("network=lenet")
            assert session.experiment is None
            chips._receive(chips, {"choose": "batch"}, [])
            gate.set()
            await until(session, "ready", "running")
            assert session.experiment.batch_size == 8
            assert chips.chosen == "batch"

    asyncio.run(story())


def test_a_request_is_applied_also_while_the_first_round_is_being_computed(gate):
    async def story():
        async with opened() as session:
            chips = Chips(Playback(session), session)
            await until_so(lambda: session.wanted is not None)
            assert session.experiment is None
            chips._receive(chips, {"choose": "batch"}, [])
            gate.set()
            await until(session, "ready", "running")
            assert (session.experiment.batch_size, chips.chosen) == (8, "batch")

    asyncio.run(story())


def test_quick_edits_add_up():
    async def story():
        async with opened() as session:
            await until(session, "ready")
            first = session.experiment
            session.edit("seed", 5)
            session.edit("iterations", 7)  # before the first change is prepared
            await until(session, "ready")
            assert (session.experiment.seed, session.experiment.attack.iterations) == (5, 7)
            session.undo()
            session.undo()
            await until(session, "ready")
            assert session.experiment == first

    asyncio.run(story())


def test_what_cannot_be_prepared_leaves_the_last_experiment():
    async def story():
        async with opened() as session:
            await until(session, "ready")
            assert session.edit("batch_size", 99) == ""
            await until(session, "ready")
            assert "The gallery holds" in session.message
            assert session.experiment.batch_size == 1

    asyncio.run(story())


def test_an_exception_in_the_attack_is_a_sentence(monkeypatch):
    def broken(self, observation, generator):
        raise ZeroDivisionError("secret detail")
        yield

    monkeypatch.setattr(GradientMatching, "reconstruct", broken)

    async def story():
        async with opened() as session:
            session.start()
            await until(session, "failed")
            assert "ZeroDivisionError" in session.message
            assert "secret detail" not in session.message
            monkeypatch.undo()
            session.start()
            await until(session, "finished")

    asyncio.run(story())


def test_running_out_of_memory_says_what_to_do(monkeypatch):
    def broken(self, observation, generator):
        raise RuntimeError("CUDA out of memory. Tried to allocate ...")
        yield

    monkeypatch.setattr(GradientMatching, "reconstruct", broken)

    async def story():
        async with opened() as session:
            session.start()
            await until(session, "failed")
            assert "take a smaller network" in session.message

    asyncio.run(story())


def test_the_algebra_follows_the_experiment():
    async def story():
        async with opened() as session:
            assert session.algebra() is None
            await until(session, "ready")
            data = session.algebra()
            assert data["readable"]
            assert data["outcome"] == "EXACT"
            assert data["error"] < 1e-4
            unit = int(data["slopes"].argmin())
            assert session.algebra(unit)["row"] == unit
            silent = int((data["slopes"] == 0).argmax())
            assert "is silent" in session.algebra(silent)["notice"]

    asyncio.run(story())


async def until_undone(session):
    await until_so(lambda: session.descent.get("status") in ("done", "failed"))
    return session.descent


def sent(data):
    """Bytes of pictures and maps inside plain data."""
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return len(data) if isinstance(data, bytes) else sum(sent(part) for part in inner)


def test_the_way_down_undoes_the_layers_one_by_one_to_the_picture():
    async def story():
        async with opened({}) as session:
            session.descend()
            assert "still loading" in session.descent["sentence"]
            await until(session, "ready")
            seen = []
            session.observe(lambda change: seen.append(change.new), "descent")
            session.descend()
            session.descend()  # asked twice, done once
            found = await until_undone(session)
            assert [len(update["layers"]) for update in seen] == [0, 0, 1, 3, 3], "the division first"
            assert found["outcome"] == "PEELED"
            assert [layer["name"] for layer in found["layers"]] == ["conv 3", "conv 2", "conv 1"]
            assert all(layer["error"] < 1e-4 for layer in found["layers"])
            assert found["layers"][1]["joint"][-2:] == ["conv 2", "conv 1"], "solved together with the layer below"
            assert found["picture"]["psnr_db"] > 60
            division = found["division"]
            assert division["slope"] / division["bias_slope"] == pytest.approx(division["value"])
            assert division["error"] < 1e-4
            seconds = [division["seconds"], *(layer["seconds"] for layer in found["layers"]), found["seconds"]]
            assert seconds == sorted(seconds)
            assert sum(sent(update) for update in seen) < 200_000
            assert session.status == "ready"

    asyncio.run(story())


def test_what_ends_the_way_down_is_named():
    async def story():
        async with opened({"network": {"name": "lenet"}, "batch_size": 12}) as session:
            await until(session, "ready")
            session.descend()
            found = await until_undone(session)
            assert (found["outcome"], found["layers"], found["picture"]) == ("PEEL_BATCH", [], None)
            assert found["division"] is None, "each ratio is a mixture"
            assert "rank 9" in found["note"]

    asyncio.run(story())


def test_the_way_down_waits_for_a_running_attack_and_says_so_beside_a_paused_one():
    async def story():
        async with opened({"network": {"name": "lenet"}}) as session:
            await until(session, "ready")
            session.step(1)
            await until(session, "paused")
            session.descend()
            assert "paused" in session.descent["sentence"]
            session.start()
            session.descend()
            assert "as soon as the attack has ended" in session.descent["sentence"]
            await until(session, "finished")
            assert (await until_undone(session))["outcome"] == "PEELED"

    asyncio.run(story())


def test_another_experiment_drops_the_way_down():
    async def story():
        async with opened({"network": {"name": "lenet"}}) as session:
            await until(session, "ready")
            session.descend()
            session.edit("seed", 3)
            assert session.descent == {}
            await until(session, "ready")  # by the one thread that went down before
            assert session.descent == {}

    asyncio.run(story())


def test_an_exception_on_the_way_down_is_a_sentence(monkeypatch):
    def broken(self, observation, generator):
        raise ZeroDivisionError("secret detail")
        yield

    monkeypatch.setattr(Recursive, "reconstruct", broken)

    async def story():
        async with opened() as session:
            await until(session, "ready")
            session.descend()
            sentence = (await until_undone(session))["sentence"]
            assert "ZeroDivisionError" in sentence
            assert "secret detail" not in sentence

    asyncio.run(story())


def test_the_pace_does_not_make_an_attack_of_few_states_crawl():
    async def story():
        async with opened({"network": {"name": "lenet"}, "attack": {"name": "recursive"}}, pace=600.0) as session:
            session.start()
            await until(session, "finished")
            assert session.frames[-1].measures["psnr_db"] > 60

    asyncio.run(story())


def test_the_pace_stretches_a_run_but_not_its_true_time(monkeypatch):
    """By a clock that goes on by a millisecond when it is read, and by what is rested."""
    now = iter(range(10**6))
    rested = []
    monkeypatch.setattr(jobs, "time", SimpleNamespace(perf_counter=lambda: 1e-3 * next(now)))
    monkeypatch.setattr(driving, "perf_counter", jobs.time.perf_counter)
    monkeypatch.setattr(Gate, "rest", lambda self, seconds: rested.append(seconds))

    async def story():
        async with opened(pace=2.0) as session:
            session.start()
            await until(session, "finished")
            states = session.iterations + 2  # the first one, and the last again with its outcome
            assert session.attack_seconds == pytest.approx(1e-3 * states)
            assert sum(rested) == pytest.approx(2.0, rel=0.1)

    asyncio.run(story())


@pytest.mark.parametrize("changes", [{"seed": "x"}, {"network": {"name": "nope"}}])
def test_a_bad_link_gives_a_notice_and_the_default(changes):
    async def story():
        async with opened(changes) as session:
            await until(session, "ready")
            assert session.message.endswith("The default experiment is shown instead.")
            assert session.experiment == Experiment()

    asyncio.run(story())


def test_a_link_is_opened_whether_or_not_the_lab_is_loaded():
    async def story():
        async with opened() as session:
            session.open_link("?network=lenet&seed=3&hide=picture")
            await until(session, "ready")
            assert (session.experiment.network.name, session.experiment.seed) == ("lenet", 3)
            assert (session.hidden, session.message) == (["picture"], "")
            session.edit("seed", 4)
            session.open_link("?seed=9")
            await until(session, "ready")
            assert session.experiment == Experiment(seed=9)
            session.undo()
            assert session.status == "ready", "a link leaves nothing to undo"

    asyncio.run(story())


def test_what_is_wrong_in_a_link_is_told_and_the_rest_is_used():
    async def story():
        async with opened(opening.from_link("seed=3&networc=lenet&hide=everything")) as session:
            await until(session, "ready")
            assert session.experiment == Experiment(seed=3)
            assert "Did you mean 'network'" in session.message
            assert "nothing called 'everything' to hide" in session.message
            assert session.hidden == []
            session.open_link("x" * 10_000)
            await until(session, "ready")
            assert "too long" in session.message

    asyncio.run(story())


def test_a_notebook_can_wait_for_the_end_of_a_run():
    async def story():
        async with opened() as session:
            await session.finish()
            assert session.status == "finished"
            assert session.frames[-1].iteration == 40

    asyncio.run(story())


def test_the_layers_are_compared_at_the_end_and_before_it_while_somebody_looks():
    async def story():
        async with opened() as session:
            await session.finish()
            looked = [frame.layers for frame in session.frames if frame.layers]
            assert looked == [session.frames[-1].layers]
            assert [layer["name"] for layer in looked[0]] == ["fc 1", "fc 2"]
            assert all(-1 <= layer["cosine"] <= 1 and layer["ratio"] > 0 for layer in looked[0])
            session.watches_layers = True
            session.reset()
            await until(session, "ready")
            session.step(1)
            await until_so(lambda: session.frames)
            assert session.frames[0].layers

    asyncio.run(story())


def test_a_past_run_is_shown_again_with_its_experiment_and_frames():
    async def story():
        async with opened() as session:
            await session.finish()
            first, kept = session.experiment, list(session.frames)
            session.edit("seed", 5)
            await until(session, "ready")
            await session.finish()
            assert ["Seed: 5" in run["title"] for run in session.history] == [False, True]
            session.restore(session.history[0]["number"])
            await until(session, "finished")
            assert session.source == "kept"
            assert session.experiment == first
            assert [frame.iteration for frame in session.frames] == [frame.iteration for frame in kept]
            assert session.frames[-1].image is kept[-1].image
            assert session.numbers == kept[-1].numbers
            assert {frame.run for frame in session.frames} == {session.run}
            assert len(session.history) == 2, "showing a run again is no new run"
            session.undo()
            await until(session, "ready")
            assert session.experiment.seed == 5
            assert session.source == "live"

    asyncio.run(story())


def test_a_run_that_was_cut_short_is_remembered_and_old_ones_are_forgotten(monkeypatch):
    monkeypatch.setattr(history, "MAX_RUNS", 2)

    async def story():
        async with opened(QUICK | {"attack": {"name": "gradient_matching", "iterations": 100_000}}) as session:
            for seed in (1, 2, 3):
                session.start()
                await until_so(lambda: len(session.frames) > 1)
                session.edit("seed", seed)
                await until(session, "ready")
            assert [run["number"] for run in session.history] == [2, 3]
            assert session.past.find(1) is None
            session.restore(1)
            assert session.status == "ready", "what is forgotten is not restored"

    asyncio.run(story())


def test_the_default_experiment_is_shown_first():
    async def story():
        async with opened({}) as session:
            await until(session, "ready")
            assert session.experiment == Experiment()
            assert session.round_info["numbers"] == sum(layer["count"] for layer in session.round_info["layers"])
            assert session.round_info["images"].shape == (1, 32, 32, 3)

    asyncio.run(story())


@pytest.mark.parametrize("page", [Lab, Lesson])
def test_a_page_asked_for_outside_a_notebook_says_where_it_belongs(page):
    with pytest.raises(LabError, match="outside a notebook"):
        page()


@pytest.mark.parametrize("known", [True, False], ids=["prepared", "still being prepared"])
@pytest.mark.parametrize("quick", [True, False], ids=["quick", "slow"])
def test_what_takes_long_is_not_attacked_unasked(monkeypatch, quick, known):
    monkeypatch.setattr(costs, "QUICK_S", 1e9 if quick else 0.0)

    async def story():
        async with opened() as session:
            await until(session, "ready")
            session.edit("seed", 4)
            if known:
                await until(session, "ready")
            session.start_if_quick()
            await until(session, "finished" if quick else "ready")
            session.start()
            await until(session, "finished")

    asyncio.run(story())


@pytest.mark.parametrize("asked", [("start_if_quick", "start"), ("start", "start_if_quick")], ids=" ".join)
def test_what_was_asked_for_is_attacked_however_long_it_takes(monkeypatch, asked):
    """Also where the page had said before, or says afterwards, that nobody has changed anything for a moment."""
    monkeypatch.setattr(costs, "QUICK_S", 0.0)

    async def story():
        async with opened() as session:
            await until(session, "ready")
            session.edit("seed", 4)
            for way in asked:
                getattr(session, way)()
            await until(session, "finished")

    asyncio.run(story())


def test_changes_one_after_another_are_no_request_for_what_takes_long(monkeypatch):
    monkeypatch.setattr(costs, "QUICK_S", 0.0)

    async def story():
        async with opened() as session:
            await until(session, "ready")
            seen = []
            session.observe(lambda change: seen.append(change.new), "status")
            for seed in (4, 5):
                session.edit("seed", seed)
                session.start_if_quick()
            await until(session, "ready")
            assert session.experiment.seed == 5
            assert "running" not in seen

    asyncio.run(story())
