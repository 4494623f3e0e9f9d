"""Kernels that are copies of one process: as good as new ones, told apart, bounded, and gone with their parent."""

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from queue import Empty

import psutil
import pytest
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import KernelProvisionerFactory

from widgets.serving import fork_server
from widgets.serving.client import PromptClient
from widgets.serving.forking import AS_KERNELS_ARE, ForkedKernel, ForkServer
from widgets.serving.limits import limit

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies of processes share memory on Linux alone")


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def server(loop):
    ForkServer.start()
    yield ForkServer.running
    loop.run(stopped())


async def stopped():
    ForkServer.stop()


@asynccontextmanager
async def kernel():
    """A kernel, and a function that runs code in it and returns what it printed."""
    factory = KernelProvisionerFactory.instance()
    before, factory.default_provisioner_name = factory.default_provisioner_name, "gradlab-fork"
    try:
        manager = AsyncKernelManager(transport="ipc", client_factory=PromptClient)
        await manager.start_kernel()
    finally:
        factory.default_provisioner_name = before
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready()

    async def run(code):
        printed = []
        reply = await client.execute_interactive(code, output_hook=lambda message: printed.append(message["content"]))
        errors = reply["content"].get("evalue", "")
        return "".join(each.get("text", "") for each in printed).strip() + errors

    try:
        yield manager, run
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


def test_a_copy_is_ready_has_its_own_randomness_and_imports_nothing_for_a_whole_first_run(loop, server):
    draw = "import numpy, random, torch, uuid; print(numpy.random.rand(), random.random(), torch.rand(1).item(), uuid.uuid4())"
    visit = (
        "from widgets import Lab; lab = Lab(); await lab.session.finish();"
        "import sys; print(lab.session.status, *sorted(sys.modules))"
    )

    async def both():
        async with kernel() as (one, run_one), kernel() as (other, run_other):
            assert isinstance(one.provisioner.process, ForkedKernel)
            assert psutil.Process(one.provisioner.pid).ppid() == server._process.pid
            assert not set((await run_one(draw)).split()) & set((await run_other(draw)).split())
            status, *modules = (await run_one(visit)).split()
            assert status == "finished"
            assert sorted(set(modules) - imported_before_the_copy()) == []
            assert psutil.Process(server._process.pid).num_threads() == 1
            assert os.getpgid(other.provisioner.pid) == other.provisioner.pid
            return [manager.provisioner.pid for manager in (one, other)]

    pids = loop.run(both())
    gone(pids)


def imported_before_the_copy():
    code = "import sys; from widgets.serving import fork_server; assert not fork_server.prepare(); print(*sys.modules)"
    done = subprocess.run([sys.executable, *AS_KERNELS_ARE, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stderr
    return set(done.stdout.split())


def gone(pids):
    """Wait until none of these processes is there any more."""
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
        pass


def test_a_client_is_ready_once_all_that_the_kernel_has_said_is_taken_and_says_so_where_it_ends(loop, server):
    async def asked():
        async with kernel() as (manager, _):
            client = manager.client()
            client.start_channels()
            for _ in range(3):
                client.execute("print(1)")
                await client.wait_for_ready(timeout=60)
                with pytest.raises(Empty):
                    await client.get_iopub_msg(timeout=0)
            psutil.Process(manager.provisioner.pid).kill()
            with pytest.raises(RuntimeError, match="has ended before"):
                await client.wait_for_ready(timeout=60)
            client.stop_channels()

    loop.run(asked())


def test_a_kernel_that_dies_is_noticed(loop, server):
    async def killed():
        async with kernel() as (manager, _):
            psutil.Process(manager.provisioner.pid).kill()
            while await manager.is_alive():
                await asyncio.sleep(0.05)
            return manager.provisioner.process.returncode

    assert loop.run(killed()) < 0


def test_more_memory_than_allowed_is_an_error_and_not_the_end(loop, server):
    """For torch and for Python; what was there before goes on."""
    grab = "import torch\ntry:\n    torch.zeros({0}).fill_(1)\nexcept (RuntimeError, MemoryError) as e:\n    print('refused')"

    async def bounded():
        async with kernel() as (manager, run):
            limit(manager.provisioner.pid, 2**28, 0, imported=True)
            first = await run(grab.format(2**24))
            second = await run(grab.format(2**27))
            third = await run("try:\n    x = bytes(2**29)\nexcept MemoryError:\n    print('refused')")
            return first, second, third, await run("print(1 + 1)")

    assert loop.run(bounded()) == ("", "refused", "refused", "2")


def test_more_processor_time_than_allowed_ends_the_kernel(loop, server):
    async def spent():
        async with kernel() as (manager, run):
            limit(
                manager.provisioner.pid, 0, 1 + int(sum(psutil.Process(manager.provisioner.pid).cpu_times()[:2])), imported=True
            )
            task = asyncio.ensure_future(run("while True: pass"))
            while await manager.is_alive():
                await asyncio.sleep(0.05)
            task.cancel()

    loop.run(spent())


def test_where_a_graphics_card_is_used_kernels_are_plain_ones(monkeypatch):
    """A driver does not survive the copy, so the fork server says no."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert "graphics card" in fork_server.prepare()


def test_without_a_fork_server_kernels_are_plain_ones_and_its_end_ends_its_kernels(loop):
    """Last of all: it ends a server of its own."""

    async def alone():
        ForkServer.start()
        lone = ForkServer.running
        async with kernel() as (manager, _):
            pid = manager.provisioner.pid
            lone._process.kill()
            while await manager.is_alive():
                await asyncio.sleep(0.05)
        async with kernel() as (manager, run):
            assert not isinstance(manager.provisioner.process, ForkedKernel)
            assert await run("print(1 + 1)") == "2"
        ForkServer.stop()
        return pid

    before = ForkServer.running
    try:
        gone([loop.run(alone())])
    finally:
        ForkServer.running = before
