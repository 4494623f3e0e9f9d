"""Side by side: one clock, one seed, one difference, one worker."""

import asyncio

import pytest
from test_session import QUICK, CountingBuffer, opened, until, until_so, workers

from lab import Experiment
from lab.experiments.edits import edit
from lab.experiments.presets import PRESETS
from widgets.form.contrasts import chosen, contrasts
from widgets.form.differences import differences
from widgets.playback.playback import Playback, frame_data
from widgets.run import comparison as comparison_module
from widgets.run import frame_buffer
from widgets.run.comparison import INTERRUPTED, Comparison
from widgets.views import compare as compare_module
from widgets.views.compare import Compare

SHORT = edit(Experiment.from_plain(QUICK), "iterations", 12)


LONG = [edit(SHORT, "iterations", 100_000), edit(SHORT, "iterations", 90_000)]


async def until_it_is(comparison, *statuses):
    async with asyncio.timeout(60):
        while comparison.status not in statuses:
            await asyncio.sleep(0.01)


async def done(comparison):
    await until_it_is(comparison, "finished", "failed")


def test_both_sides_stand_at_the_same_iteration_and_only_one_worker_computes():
    async def story():
        before = len(workers())
        async with opened() as session:
            await until(session, "ready")
            comparison = Comparison(session)
            comparison.follow(lambda moment: comparison.acknowledge(moment[0].id))
            comparison.start([SHORT, edit(SHORT, "distance", "euclidean")])
            await done(comparison)
            assert comparison.message == "All runs are done."
            assert len(workers()) == before + 1
            for left, right in comparison.frames:
                assert left.iteration == right.iteration
            left, right = comparison.frames[-1]
            assert left.iteration == 12
            assert left.objective != right.objective
            assert (comparison.secrets[0]["sample"] == comparison.secrets[1]["sample"]).all(), "the same numbers were sent"
            first_left, first_right = comparison.frames[0]
            assert (first_left.image == first_right.image).all() or first_left.iteration > 0

    asyncio.run(story())


def test_an_unacknowledged_moment_holds_the_next_back_by_the_rule_of_every_run(monkeypatch):
    monkeypatch.setattr(frame_buffer, "ACKNOWLEDGE_S", 1e9)
    monkeypatch.setattr(comparison_module, "FrameBuffer", CountingBuffer)

    async def story():
        async with opened() as session:
            await until(session, "ready")
            comparison = Comparison(session)
            buffer = comparison.frame_buffer
            numbers = []
            comparison.follow(lambda moment: numbers.append({frame.id for frame in moment}))
            for begun in (0, 1):  # the second comparison counts on
                comparison.start(LONG)
                await until_so(lambda: len(comparison.frames) == 1)
                posted, looked = buffer.posted + 3, buffer.looked + 3
                await until_so(lambda posted=posted, looked=looked: buffer.posted >= posted and buffer.looked >= looked)
                assert numbers[-1] == {2 * begun + 1}
                comparison.acknowledge(comparison.frames[-1][0].id)
                await until_so(lambda: len(comparison.frames) == 2)
                first, second = comparison.frames
                assert second[0].iteration > first[0].iteration + 1, "the newest is sent, not the next"

    asyncio.run(story())


def test_an_attack_takes_the_worker_back():
    async def story():
        async with opened() as session:
            await until(session, "ready")
            comparison = Comparison(session)
            comparison.start(LONG)
            await until_it_is(comparison, "running")
            session.start()
            assert (comparison.status, comparison.message) == ("finished", INTERRUPTED)
            await until(session, "finished")
            assert session.frames[-1].iteration == 40

    asyncio.run(story())


def test_a_comparison_ends_the_attack_that_runs_or_is_paused():
    async def story():
        async with opened(QUICK | {"attack": {"name": "gradient_matching", "iterations": 100_000}}) as session:
            session.step(3)
            await until(session, "running")
            await until(session, "paused")
            comparison = Comparison(session)
            comparison.start([SHORT, edit(SHORT, "seed", 3)])
            await done(comparison)
            assert comparison.frames[-1][1].iteration == 12
            assert session.status == "finished"

    asyncio.run(story())


def test_closing_the_page_ends_a_comparison():
    async def story():
        async with opened() as session:
            await until(session, "ready")
            comparison = Comparison(session)
            comparison.start(LONG)
            await until_it_is(comparison, "running")
            before = len(workers())
        assert len(workers()) == before - 1

    asyncio.run(story())


def test_a_side_that_fails_is_a_sentence():
    async def story():
        async with opened() as session:
            await until(session, "ready")
            comparison = Comparison(session)
            comparison.start([SHORT, edit(SHORT, "batch_size", 99)])
            await done(comparison)
            assert comparison.status == "failed"
            assert "The gallery holds" in comparison.message

    asyncio.run(story())


def test_what_can_differ_is_read_off_the_form():
    offered = {each["path"]: each for each in contrasts(Experiment())}
    assert {"network", "trained", "distance", "tv", "local_steps", "seed"} <= set(offered)
    for path, contrast in offered.items():
        assert contrast["value"] in [option["value"] for option in contrast["options"]]
        for option in contrast["options"]:
            assert edit(Experiment(), path, option["value"])


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("tv", [0.0]),
        ("tv", [0.0, 7.5]),
        ("nothing", [1, 2]),
        ("trained", [0, 1]),
        ("seed", "ab"),
        (None, None),
        ("seed", [0] * 9),
    ],
    ids=str,
)
def test_what_a_stranger_asks_to_compare_is_ignored(path, values):
    assert chosen(Experiment(), path, values) is None


def test_the_view_compares_the_present_experiment_or_the_pair_of_presets(monkeypatch):
    async def story():
        async with opened() as session:
            await until(session, "ready")
            view = Compare(Playback(session), session)
            begun = []
            monkeypatch.setattr(view.comparison, "start", begun.append)
            view._receive(view, {"type": "compare", "path": "distance", "values": ["cosine", "l1"]}, [])
            assert [each.attack.distance.name for each in begun[0]] == ["cosine", "l1"]
            assert view.shown == {"title": "Loss between gradients", "labels": ["cosine", "L1"]}
            view._receive(view, {"type": "preset"}, [])
            assert begun[1] == [PRESETS[name].experiment for name in compare_module.PRESETS]
            for content in (
                None,
                {},
                {"type": "compare", "path": "distance", "values": ["nope", "l1"]},
                {"type": "drawn", "id": "x"},
            ):
                view._receive(view, content, [])
            assert len(begun) == 2

    asyncio.run(story())


@pytest.mark.parametrize("then", ["nothing", "closed", "edited"])
def test_the_pair_of_presets_asked_for_while_loading_runs_once_the_lab_is_there(monkeypatch, then):
    async def story():
        async with opened() as session:
            view = Compare(Playback(session), session)
            begun = []
            monkeypatch.setattr(view.comparison, "start", begun.append)
            assert session.status == "loading"
            view._receive(view, {"type": "preset"}, [])
            assert view.state["status"] == "waiting"
            assert "still loading" in view.state["message"]
            if then == "closed":
                view._receive(view, {"type": "stop"}, [])
                assert view.state == {"status": "idle", "message": ""}
            await until(session, "ready")
            if then == "edited":
                assert session.edit("seed", 3) == ""
                await until(session, "ready")
            assert begun == ([] if then == "closed" else [[PRESETS[name].experiment for name in compare_module.PRESETS]])

    asyncio.run(story())


def test_the_pair_of_presets_differs_in_the_loss_alone():
    left, right = (PRESETS[name].experiment for name in compare_module.PRESETS)
    assert [each.path for each in differences(left, right)] == ["distance"]
    assert left.trained


CLOSED = [("gcn", 300), ("transformer", 64)]


@pytest.mark.parametrize(("network", "width"), CLOSED)
def test_the_clock_of_closed_forms_goes_by_what_their_states_tell(network, width, monkeypatch):
    """No option says how many steps they take: never "iteration 2 of 1"."""
    monkeypatch.setattr(comparison_module, "PACE_S", 0.5)
    sides = [edit(edit(edit(Experiment(), "network", network), "network.width", width), "seed", seed) for seed in (0, 1)]
    moments = []

    async def story():
        async with opened() as session:
            await until(session, "ready")
            comparison = Comparison(session)
            comparison.follow(lambda moment: comparison.acknowledge(moment[0].id))
            comparison.start(sides)
            await done(comparison)
            assert comparison.message == "All runs are done."
            moments.extend(comparison.frames)

    asyncio.run(story())
    for moment in moments:
        assert all(0 <= frame_data(frame)["iteration"] <= frame_data(frame)["iterations"] for frame in moment)
    assert all(frame.iteration == frame.iterations > 0 for frame in moments[-1])
