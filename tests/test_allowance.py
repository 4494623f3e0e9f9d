"""What a visitor may ask of the machine: refused with what would fit, counted, and said; the session goes on."""

import asyncio

import pytest
from test_session import until

from lab import Experiment, LabError
from lab.federated.networks.mlp import MLP
from widgets.door.sentences import sentence
from widgets.run import allowance, jobs
from widgets.run.session import Session
from widgets.surroundings import MAX_BYTES, MAX_SECONDS

HUGE = Experiment(network=MLP(depth=8, width=4096), image_size=224)


@pytest.fixture
def server(monkeypatch):
    """What a server tells; each call replaces what it told before."""

    def tell(**bounds):
        for name, value in bounds.items():
            monkeypatch.setenv(name, str(value))
        allowance.limits.cache_clear()

    yield tell
    allowance.limits.cache_clear()


def in_session(story, *arguments, **keywords):
    """Run a story, a coroutine function of a session, and close the session."""

    async def told():
        session = Session(*arguments, **keywords)
        try:
            await story(session)
        finally:
            session.close()

    asyncio.run(told())


def test_what_is_too_large_is_refused_and_the_former_experiment_stays(server):
    server(**{MAX_BYTES: 200e6})

    async def story(session):
        await until(session, "ready")
        session.show(HUGE)
        await until(session, "ready")
        assert session.experiment == Experiment()
        assert "GB are allowed here. It would fit with" in session.message
        assert session.edit("batch_size", 2) == ""
        await until(session, "ready")
        assert session.experiment.batch_size == 2

    in_session(story)


def test_a_page_that_begins_with_too_much_shows_the_default_instead(server):
    server(**{MAX_BYTES: 200e6})

    async def story(session):
        await until(session, "ready")
        assert session.experiment == Experiment()
        assert "The default experiment is shown instead." in session.message

    in_session(story, HUGE.changes())


def test_a_way_down_that_costs_more_than_the_attack_is_refused(server):
    server(**{MAX_BYTES: 40e6})

    async def story(session):
        await until(session, "ready")
        session.descend()
        while session.descent["status"] in ("waiting", "running"):
            await asyncio.sleep(0.02)
        assert session.descent["status"] == "failed"
        assert "allowed here" in session.descent["sentence"]

    in_session(story)


def test_a_comparison_passes_the_same_gate(server):
    server(**{MAX_BYTES: 200e6})
    with pytest.raises(LabError, match="allowed here"):
        jobs.simulate(HUGE)


def test_a_visit_ends_where_its_seconds_do(server, monkeypatch):
    server(**{MAX_SECONDS: 10_000})
    left = [9_000.0]
    monkeypatch.setattr(allowance, "left_s", lambda: left[0])

    async def story(session):
        await until(session, "ready")
        assert session.message == ""
        session.pace_seconds = 0.0
        session.step(1)
        await until(session, "paused")
        left[0] = 12.4
        session.step(1)
        await until(session, "paused")
        left[0] = 0.0
        session.start()
        await until(session, "finished")
        assert session.message == allowance.SPENT
        assert session.frames, "what was found is kept"
        session.reset()
        await until(session, "ready", "failed")
        assert session.message == allowance.SPENT
        left[0] = 12.4
        session.reset()
        await until(session, "ready")
        assert session.message == "About 12 s of computing are left for this visit."

    in_session(story)


@pytest.mark.parametrize("told", ["much", "-1", "0", "nan"])
def test_a_bound_that_is_no_number_is_said(server, told):
    server(**{MAX_BYTES: told})
    with pytest.raises(LabError, match=f"The server says {MAX_BYTES} = '{told}'; it must be a number above 0"):
        allowance.limits()


NO_MEMORY = [
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
                 "allocate 40000000000 bytes. Error code 12 (Cannot allocate memory)"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    OSError(12, "Cannot allocate memory"),
    RuntimeError("could not create a primitive"),
    SystemError("error return without exception set"),
]  # fmt: skip


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
def test_memory_that_the_system_refuses_is_a_sentence_and_the_session_goes_on(error, monkeypatch):
    assert sentence(error).startswith("The memory is not enough for this experiment")

    async def story(session):
        await until(session, "ready")
        simulate = jobs.simulate

        def refuse(experiment):
            raise error

        monkeypatch.setattr(jobs, "simulate", refuse)
        session.edit("batch_size", 2)
        await until(session, "ready")
        assert session.message == sentence(error)
        assert session.experiment == Experiment()
        monkeypatch.setattr(jobs, "simulate", simulate)
        assert session.edit("batch_size", 2) == ""
        await until(session, "ready")
        assert session.experiment.batch_size == 2

    in_session(story)
