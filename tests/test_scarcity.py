"""A machine that runs short of disk, behind the server or in an engine, and engines that end before anybody has come."""

import asyncio
import sys

import psutil
import pytest
from test_server import ask, processes
from troubled import run
from visiting import kernel_process, serving

from benchmarks.crowd import engines
from benchmarks.visitor import Visitor as Bare

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of other processes are set on Linux alone")
NO_DISK, DISK = (0, psutil.RLIM_INFINITY), (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY)


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
