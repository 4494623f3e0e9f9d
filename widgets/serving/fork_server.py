"""The parent of forked kernels: a process that has imported everything and only waits to be copied.

    python -P -m widgets.serving.fork_server DESCRIPTOR

Importing what the page needs takes seconds and hundreds of megabytes; a copy of a process that has done so takes
neither, since Linux shares its memory until somebody writes to it. This process therefore has one thread, runs no
parallel region and opens no zmq context, none of which would survive the copy. ``DESCRIPTOR`` is a socket of whole
packets to the server (``widgets.serving.forking``): a request comes in as JSON and is answered by the kernel's process
number; the end of a kernel is told by itself. When the server is gone, this process ends, and its kernels with it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import sys
from pathlib import Path
from typing import Any

LARGEST_PACKET = 2**20
PAGE = ("lab", "widgets")
"""All of these is imported, since any of it may be asked for by a visitor; a test holds it complete."""
KERNEL = (
    *("ipykernel.debugger", "ipykernel.ipkernel", "ipykernel.kernelapp", "zmq.utils.garbage", "tornado.platform.asyncio"),
    *("IPython.core.completerlib", "IPython.core.debugger", "IPython.core.logger", "IPython.core.oinspect"),
    *("IPython.extensions.storemagic", "faulthandler", "sqlite3", "encodings.cp437"),
    *("numpy.random", "torch.fx.experimental._constant_symnode", "torch.nested._internal.nested_tensor", "torch.utils._device"),
)
"""What others import only once it is used, as every kernel does; the same test names what is missing."""
LARGE = ("torchvision.models",)
"""What some networks only need: 87 MiB that each copy would otherwise have for itself, and a second and a half of waiting."""
NO_PART_OF_THE_PAGE = {
    *(
        "lab.cli",
        "lab.commands",
        "lab.course.exercises",
        "lab.studies",
        "lab.studies.sweeps",
        "lab.client.training",
        "lab.client.augmentation",
    ),
    *("widgets.playback.record", "widgets.serving"),
}
NOTHING_OF_THE_PAGE = {"finding", "study"}
"""A kind of the catalogue that no page offers."""
KINDER = 5
"""How much a kernel yields to the server, which has to answer everybody."""


def main(descriptor: int) -> None:
    """Prepare, serve requests, and in each copy become the kernel that was asked for."""
    channel = socket.socket(fileno=descriptor)
    hindrance = prepare()
    channel.send(_packet(hindrance=hindrance))
    if not hindrance and (request := serve(channel)) is not None:
        become_kernel(request)


def prepare() -> str:
    """Import all that a page needs; returns why this process cannot be copied, or nothing."""
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # asks the driver without opening it, which no copy survives
    # Not found then: a compiler for graphics cards, which no copy uses, and which reports frozen objects as leaked at each end.
    sys.modules["triton"] = None  # pyright: ignore[reportArgumentType]
    import setproctitle
    import torch
    from PIL import Image

    from lab.options.catalogue import FOLDERS, entries
    from widgets.run.jobs import load

    load()
    for name in (*KERNEL, *LARGE, *(module for package in PAGE for module in _modules(package))):
        importlib.import_module(name)
    for kind in FOLDERS.keys() - NOTHING_OF_THE_PAGE:
        entries(kind)  # which are looked for once
    Image.preinit()  # the decoders, which it looks for at the first picture
    setproctitle.getproctitle()  # it looks for its place in memory once, before the environment changes
    if torch.cuda.is_available():
        return "a graphics card is used, whose driver no copy may share"
    if len(os.listdir("/proc/self/task")) > 1:
        return "an import has started a thread"
    gc.collect()
    gc.freeze()  # a collection in a copy would otherwise write to every object, and so copy it
    return ""


def _modules(package: str) -> list[str]:
    """A package and what is below it, in the order of names."""
    found = [package]
    for each in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        if each.name not in NO_PART_OF_THE_PAGE:
            found += _modules(each.name) if each.ispkg else [each.name]
    return found


def serve(channel: socket.socket) -> dict[str, Any] | None:
    """Fork for each request; returns the request in the copy, and None in the parent once the server is gone."""
    ended, children = _bell_of_ended_children(), set[int]()
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if ended in ready:
                ended.recv(4096)
                _tell_of_ended(children, channel)
            if channel not in ready:
                continue
            packet = channel.recv(LARGEST_PACKET)
            if not packet:
                break
            pid = os.fork()
            if not pid:
                _forget_the_server(channel)
                return json.loads(packet)
            children.add(pid)
            channel.send(_packet(started=pid))
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    return None


def become_kernel(request: dict[str, Any]) -> None:
    """Be the kernel of a connection file, with the environment and in the folder that the request names."""
    import ipywidgets
    import numpy as np
    import torch
    from ipykernel.kernelapp import IPKernelApp
    from setproctitle import setproctitle

    os.setsid()
    os.nice(KINDER)
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.__stdin__.fileno() if sys.__stdin__ else 0)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    setproctitle(f"gradlab kernel {Path(request['file']).stem}")
    np.random.seed()
    torch.seed()  # two copies must not draw the same numbers
    app = IPKernelApp.instance(parent_handle=os.getppid())  # ends with its parent
    app.initialize(["-f", request["file"]])
    ipywidgets.load_ipython_extension(app.shell)  # which it does on import, where there is a kernel already
    app.start()


def _bell_of_ended_children() -> socket.socket:
    """A socket that can be read as soon as a child has ended."""
    bell, ringer = socket.socketpair()
    for end in (bell, ringer):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(ringer.detach())
    return bell


def _tell_of_ended(children: set[int], channel: socket.socket) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        children.remove(pid)
        with contextlib.suppress(BrokenPipeError):  # nobody is left to hear of it
            channel.send(_packet(ended=pid, status=os.waitstatus_to_exitcode(status)))


def _forget_the_server(channel: socket.socket) -> None:
    """What a copy does not inherit."""
    channel.close()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _packet(**content: Any) -> bytes:
    return json.dumps(content).encode()


if __name__ == "__main__":
    main(int(sys.argv[1]))
