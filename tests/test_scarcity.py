"""A machine that runs short: of disk behind the server, of disk, memory or finite numbers in an engine."""

import asyncio
import sys

import psutil
import pytest
from test_server import ask, processes
from troubled import run
from visiting import Visitor, kernel_process, primary, serving, wait_for_status

from benchmarks.crowd import engines
from benchmarks.visitor import Visitor as Bare

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of other processes are set on Linux alone")
NO_DISK, DISK = (0, psutil.RLIM_INFINITY), (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY)
NOT_A_NUMBER = """
import itertools, math
from lab.distances.l1 import L1
honest, calls = L1.__call__, itertools.count()
L1.__call__ = lambda self, candidate, shared: honest(self, candidate, shared) * (1.0 if next(calls) < 9 else math.nan)
"""


def server_among(before):
    """The server that was started since."""
    started = [process for process in processes() if process.pid not in before]
    return next(process for process in started if "widgets.serving" in process.cmdline() and "--port" in process.cmdline())


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


@pytest.mark.browser
def test_memory_that_an_engine_does_not_get_is_a_sentence_and_a_smaller_experiment_goes_on(browser, tmp_path):
    file = tmp_path / "gradlab.toml"
    file.write_text("engine_bytes = 300_000_000\nround_bytes = 0\n")
    arguments = ("-m", "widgets.serving", "--no-browser", "--public", "--settings", str(file), "--port")
    with serving(*arguments) as address:
        visitor = Visitor(browser, address)
        page = visitor.open(query="?network=convnet&image_size=224&batch_size=8")
        wait_for_status(page, "failed")
        assert "The memory is not enough for this experiment" in page.locator(".lab-message").inner_text()
        page.goto(address)
        page.locator(".lab[data-ready]").wait_for()
        run(page)
        visitor.leave()


@pytest.mark.browser
def test_numbers_that_stop_being_finite_are_said_and_the_best_picture_is_kept(browser, tmp_path, monkeypatch):
    startup = tmp_path / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-fail.py").write_text(NOT_A_NUMBER)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    with serving("-m", "widgets.serving", "--no-browser", "--port") as address:
        visitor = Visitor(browser, address)
        page = visitor.open(query="?attack=gradient_matching:distance=l1")
        run(page)
        assert "stopped being a finite number" in page.locator(".lab-message").inner_text()
        assert "NaN" not in page.locator("body").inner_text()
        assert primary(page).is_enabled()
        visitor.leave()
