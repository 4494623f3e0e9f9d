"""Kernels as copies of a process that has imported everything (jupyter_client's kernel provisioners).

c.KernelProvisionerFactory.default_provisioner_name = "gradlab-fork"
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from typing import Any, ClassVar

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Int

from widgets.serving.fork_server import LARGEST_PACKET
from widgets.serving.journal import LOG
from widgets.serving.limits import limit

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Libraries that would start their threads on import."""


AS_KERNELS_ARE = ("-X", "frozen_modules=off")
"""How Jupyter starts a kernel, whose debugger complains else."""


class ForkedKernel:
    """A kernel that the fork server has started, as ``subprocess.Popen`` would show it."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status once it has ended; None before."""
        if self.returncode is None:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:  # and the fork server has not told of it yet
                self.returncode = -signal.SIGKILL
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit status; whoever asks has polled before."""
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to a kernel that lives."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """Our end of the fork server: starts it, asks it for kernels, and hears of their ends."""

    running: ClassVar[ForkServer | None] = None
    """The one of this process, once ``start`` was called."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setblocking(False)
        command = [sys.executable, "-P", *AS_KERNELS_ARE, "-m", "widgets.serving.fork_server", str(theirs.fileno())]
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=os.environ | ONE_THREAD
        )
        theirs.close()
        self._kernels: dict[int, ForkedKernel] = {}
        self._answers: asyncio.Queue[Any] | None = None
        self._turn: asyncio.Lock | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._able = self._has_told = False

    @classmethod
    def start(cls) -> None:
        """Start one for this process, where kernels can be copied at all."""
        if sys.platform == "linux":
            cls.running = cls()

    @classmethod
    def stop(cls) -> None:
        """End it, and every kernel that is left of it."""
        server, cls.running = cls.running, None
        if server is not None:
            server._lose()
            server._process.wait()

    async def fork(self, file: str, env: dict[str, str], cwd: str) -> ForkedKernel | None:
        """A kernel of the connection file; None where a plain one has to be started instead."""
        if self._turn is None:
            self._turn, self._answers, self._loop = asyncio.Lock(), asyncio.Queue(), asyncio.get_running_loop()
            self._loop.add_reader(self._channel, self._read)
        async with self._turn:
            if not await self._is_able():
                return None
            try:
                self._channel.send(json.dumps({"file": file, "env": env, "cwd": cwd}).encode())
            except OSError:  # gone, or the environment is larger than a packet
                return None
            return await self._answer()

    async def _is_able(self) -> bool:
        if not self._has_told:
            hindrance, self._has_told = await self._answer(), True
            self._able = hindrance == ""
            if not self._able:
                LOG.info("plain kernels", extra={"reason": hindrance or "the fork server has ended"})
        return self._able

    async def _answer(self) -> Any:
        """What hinders it, or a kernel; None where the fork server is gone."""
        assert self._answers is not None
        return await self._answers.get()

    def _read(self) -> None:
        """Take what the fork server tells: an answer, or the end of a kernel."""
        assert self._answers is not None
        try:
            packet = self._channel.recv(LARGEST_PACKET)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            self._lose()
            return
        match json.loads(packet):
            case {"ended": pid, "status": status}:
                self._kernels.pop(pid).returncode = status
            case {"started": pid}:
                self._kernels[pid] = kernel = ForkedKernel(pid)
                self._answers.put_nowait(kernel)
            case {"hindrance": hindrance}:
                self._answers.put_nowait(hindrance)

    def _lose(self) -> None:
        """The fork server is gone, and the system has ended its kernels: from now on plain ones."""
        if self._channel.fileno() < 0:
            return
        if self._loop is not None and self._answers is not None:
            self._loop.remove_reader(self._channel)
            self._answers.put_nowait(None)
        self._channel.close()
        self._able, self._has_told = False, True
        for kernel in self._kernels.values():
            kernel.returncode = -signal.SIGKILL
        self._kernels.clear()


class ForkProvisioner(LocalProvisioner):
    """Starts a kernel as a copy where it can, and as a new process where not."""

    most_bytes = Int(0, config=True, help="Memory that a kernel may take beyond its start; 0 sets no limit.")
    most_cpu_seconds = Int(0, config=True, help="Processor time that it may take; 0 sets no limit.")

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel of the connection file that the command names."""
        server = ForkServer.running
        if server is not None and "-f" in cmd:
            file, cwd = cmd[cmd.index("-f") + 1], kwargs.get("cwd") or os.getcwd()
            self.process = await server.fork(file, kwargs.get("env") or dict(os.environ), cwd)
        if self.process is None:
            await super().launch_kernel(cmd, **kwargs)
        else:
            self.pid = self.pgid = self.process.pid
        imported = isinstance(self.process, ForkedKernel)
        with contextlib.suppress(ProcessLookupError):  # it has ended already, which others will see
            limit(self.pid, self.most_bytes, self.most_cpu_seconds, imported=imported)
        return self.connection_info
