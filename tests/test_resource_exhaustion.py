"""A machine that runs short: of disk behind the server or in an engine, of memory or finite numbers in an engine."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from failing_page import check_that_nothing_seen_is_lost, run
from test_server import ask, processes
from visiting import Visitor, kernel_process, primary, serving, wait_for_frames, wait_for_status, words_of

from benchmarks.crowd import engines
from benchmarks.visitor import Visitor as Bare
from lab.attacks.matching.outcomes import MatchingOutcome
from lab.errors import TOO_LARGE
from widgets.serving.limits import data_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of other processes are set on Linux alone")
NO_DISK, DISK = (0, psutil.RLIM_INFINITY), (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY)

HERE = Path(__file__).parent


def server_among(before):
    """The server that was started since."""
    started = [process for process in processes() if process.pid not in before]
    return next(process for process in started if {"widgets.serving", "--port"} <= set(words_of(process)))


def test_a_full_disk_is_a_sentence_loses_no_engine_and_is_forgotten_once_there_is_room():
    """Both for engines kept ready, of which there are soon no more, and for those started on request."""
    before = {process.pid for process in processes()}

    async def visit(address, server):
        while not await _served(address):
            await asyncio.sleep(0.2)
        server.rlimit(psutil.RLIMIT_FSIZE, NO_DISK)
        refused = 0
        while refused < 3:
            visitor = Bare(address)
            if await _served(address, visitor):
                continue
            refused += 1
            status, _, text = ask(address, "health")
            assert status == 200, text
        status, _, text = ask(address)
        assert status == 500
        assert text == "The server could not answer; reload the page, and tell whoever runs it if it stays so."
        server.rlimit(psutil.RLIMIT_FSIZE, DISK)
        while not await _served(address):
            await asyncio.sleep(0.2)
        visitor = await Bare(address).visit()
        await visitor.leave()
        while len(engines(server)) != 1 or '"visitors": 0' not in ask(address, "health")[2]:
            await asyncio.sleep(0.2)

    with serving("-m", "widgets.serving", "--no-browser", "--port") as address:
        asyncio.run(visit(address, server_among(before)))


async def _served(address, visitor=None):
    try:
        await (visitor or Bare(address)).fetch()
    except Exception:  # whatever says that there is no page
        return False
    return True


def test_an_engine_that_ends_while_it_is_kept_ready_is_replaced():
    before = {process.pid for process in processes()}

    async def visit(address, server):
        while not (waiting := engines(server)):
            await asyncio.sleep(0.2)
        waiting[0].kill()
        while engines(server) in ([], waiting):
            await asyncio.sleep(0.2)
        visitor = await Bare(address).visit()
        assert visitor.verdict == "Recognisable"
        await visitor.leave()

    with serving("-m", "widgets.serving", "--no-browser", "--port") as address:
        asyncio.run(visit(address, server_among(before)))


@pytest.mark.browser
def test_a_page_needs_no_disk(visit):
    page = visit()
    kernel_process(page).rlimit(psutil.RLIMIT_FSIZE, NO_DISK)
    run(page)
    page.get_by_role("button", name="Reset", exact=True).click()
    run(page)


def test_whatever_lacks_memory_says_so_or_ends():
    """Never another sentence: not of a bug, nor of a network that does not prove right."""
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, HERE / "short_of_memory.py"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout.splitlines()
    assert len(said) == 21, done.stderr
    assert {line for line in said if not line.startswith("ended by signal")} == {TOO_LARGE}, said
    assert said.count(TOO_LARGE) > len(said) / 2, said


@pytest.mark.browser
def test_memory_that_runs_out_during_an_attack_is_said_and_the_engine_goes_on(visit):
    """A network whose weights are larger than what is left; its neighbour hears nothing of it."""
    page, neighbour = visit(query="?network=mlp:depth=2,width=128&image_size=224"), visit()
    wait_for_status(page, "ready")
    engine = kernel_process(page)
    primary(page).click()
    wait_for_frames(page, 2)
    primary(page).click()
    wait_for_status(page, "paused")
    engine.rlimit(psutil.RLIMIT_DATA, (data_bytes(engine.pid) + 8_000_000, psutil.RLIM_INFINITY))
    primary(page).click()
    wait_for_status(page, "failed")
    assert page.locator(".lab-message").inner_text() == TOO_LARGE
    check_that_nothing_seen_is_lost(page)
    engine.rlimit(psutil.RLIMIT_DATA, DISK)
    primary(page).click()
    wait_for_status(page, "running")
    run(neighbour)


NOT_A_NUMBER = """
import itertools, math
from lab.attacks.matching.distances.l1 import L1
honest, calls = L1.__call__, itertools.count()
L1.__call__ = lambda self, candidate, shared: honest(self, candidate, shared) * (1.0 if next(calls) < 99 else math.nan)
"""


@pytest.mark.browser
def test_numbers_that_stop_being_finite_are_said_and_the_best_picture_is_kept(browser, tmp_path, monkeypatch):
    """In an engine in which a distance fails from its hundredth call on, at a pace that leaves frames to be seen before."""
    startup = tmp_path / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-fail.py").write_text(NOT_A_NUMBER)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    with serving("-m", "widgets.serving", "--no-browser", "--port") as address:
        visitor = Visitor(browser, address)
        page = visitor.open(query="?attack=gradient_matching:distance=l1")
        wait_for_status(page, "ready")
        primary(page).click()
        wait_for_status(page, "running")
        wait_for_status(page, "finished")
        assert page.locator(".lab-message").inner_text().startswith(MatchingOutcome.NOT_FINITE.value)
        assert "NaN" not in page.locator("body").inner_text()
        check_that_nothing_seen_is_lost(page)
        assert primary(page).is_enabled()
        visitor.leave()
