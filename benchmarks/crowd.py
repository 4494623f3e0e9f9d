"""``python -m benchmarks.crowd``: what the server bears.

* N visitors at once, from the request for the page to the verdict of the default attack (visitors without browsers,
  ``benchmarks.visitor``, which share the machine's cores with the server), and the memory that one of them takes;
* GET to Start with an engine kept ready, and with none;
* churn: visitors come, attack and leave, some without a word, for some minutes: engines left, and the server's memory.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import psutil
import typer

from benchmarks.visitor import Visitor

MEBIBYTE = 2**20
PATIENCE_S = 240.0
"""A visitor who has no verdict by then is counted as failed."""


@contextmanager
def served(*words: str) -> Iterator[tuple[str, psutil.Process]]:
    """The lab's own server on a free port: its address and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "widgets.serving", "--port", str(port), "--no-browser", *words]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        yield f"http://localhost:{port}/", psutil.Process(server.pid)
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)


def engines(server: psutil.Process) -> list[psutil.Process]:
    """The engines behind a server, kept ready or in use."""
    return [each for each in server.children(recursive=True) if "gradlab kernel" in _command(each)]


def _command(process: psutil.Process) -> str:
    """What it calls itself; nothing where it has ended."""
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


def memory(server: psutil.Process, used: set[str]) -> dict[str, float]:
    """Medians of what a visitor's engine takes, in MiB: PSS counts what is shared in parts, USS not at all."""
    full = [each.memory_full_info() for each in engines(server) if any(name in _command(each) for name in used)]
    return {kind: median(getattr(each, kind) for each in full) / MEBIBYTE for kind in ("pss", "uss")}


def crowd(count: int) -> dict[str, Any]:
    """``count`` visitors at the same moment, each to its verdict."""
    with served("--public", "--settings", settings(visitors=max(40, count))) as (address, server):
        found = asyncio.run(_arrive(address, count, server))
    return found


async def _arrive(address: str, count: int, server: psutil.Process) -> dict[str, Any]:
    await _until_ready(address, server)
    before = _processor_seconds(server)
    visitors = [Visitor(address) for _ in range(count)]
    failures = await asyncio.gather(*(_failure(visitor) for visitor in visitors))
    done = [visitor for visitor, failure in zip(visitors, failures, strict=True) if not failure]
    spent = _processor_seconds(server) - before
    taken = memory(server, {visitor.kernel for visitor in done}) if done else {}
    await asyncio.gather(*(visitor.leave() for visitor in visitors), return_exceptions=True)
    moments = {name: sorted(visitor.moments[name] for visitor in done) for name in ("page", "ready", "verdict") if done}
    return {
        "visitors": count,
        "failed": [failure for failure in failures if failure],
        "recognisable": sum(visitor.verdict == "Recognisable" for visitor in done),
        "median_s": {name: median(values) for name, values in moments.items()},
        "last_s": {name: values[-1] for name, values in moments.items()},
        "processor_s_a_visitor": spent / count,
        "engine_mib": taken,
    }


async def _failure(visitor: Visitor) -> str:
    """Let a visitor try: how it failed and how far it had come, or nothing. No failure holds up the others."""
    try:
        await asyncio.wait_for(visitor.visit(), PATIENCE_S)
    except Exception as error:  # whatever it is, it is a figure here
        return f"{error!r} after {visitor.reached}"
    return ""


async def _until_ready(address: str, server: psutil.Process) -> None:
    """Until an engine is kept ready, and has done what it does by itself."""
    before = -1.0
    while not engines(server) or _processor_seconds(server) - before > 0.3:
        before = _processor_seconds(server)
        await asyncio.sleep(2)


def _processor_seconds(server: psutil.Process) -> float:
    """Of the server and of everything that it has started, the ended included."""
    family = [server, *server.children(recursive=True)]
    times = [each.cpu_times() for each in family if each.is_running()]
    return sum(each.user + each.system + each.children_user + each.children_system for each in times)


def starts(turns: int) -> dict[str, list[float]]:
    """Seconds from the request to the whole page, with an engine kept ready and right behind, where there is none."""
    with served() as (address, server):
        return asyncio.run(_starts(address, server, turns))


async def _starts(address: str, server: psutil.Process, turns: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"ready_s": [], "none_ready_s": []}
    for _ in range(turns):
        await _until_ready(address, server)
        first, second = Visitor(address), Visitor(address)
        await first.fetch()
        await second.fetch()
        found["ready_s"].append(first.moments["page"])
        found["none_ready_s"].append(second.moments["page"])
        for visitor in (first, second):
            await visitor.connect()
            await visitor.leave()
    return found


def churn(visits: int, minutes: float) -> dict[str, Any]:
    """Visitors one after another, every third gone without a word; then sixty seconds, and what is left."""
    with served("--public") as (address, server):
        return asyncio.run(_churn(address, server, visits, 60 * minutes))


async def _churn(address: str, server: psutil.Process, visits: int, seconds: float) -> dict[str, Any]:
    await _until_ready(address, server)
    kept, began, grown = len(engines(server)), time.monotonic(), list[tuple[int, float]]()
    for number in range(visits):
        await asyncio.sleep(max(0.0, began + seconds * number / visits - time.monotonic()))
        visitor = await Visitor(address).visit()
        await visitor.leave(politely=number % 3 != 0)
        grown.append((number, server.memory_full_info().uss / MEBIBYTE))
    await asyncio.sleep(60)
    numbers, sizes = np.array(grown[len(grown) // 2 :]).T
    slope, _ = np.polyfit(numbers, sizes, 1)
    return {
        "visits": visits,
        "seconds": time.monotonic() - began,
        "engines_kept_ready": kept,
        "engines_left_after_60_s": len(engines(server)),
        "server_mib": [value for _, value in grown],
        "server_mib_a_visit_in_the_second_half": slope,
    }


def settings(**values: int) -> str:
    """A settings file with these values, in a folder of its own."""
    file = Path(tempfile.mkdtemp()) / "gradlab.toml"
    file.write_text("".join(f"{name} = {value}\n" for name, value in values.items()), encoding="utf-8")
    return str(file)


def main(
    visitors: Annotated[str, typer.Option(help="how many at once, one after another")] = "1,2,5,10,20,40",
    turns: Annotated[int, typer.Option(help="pages with and without an engine kept ready")] = 5,
    churn_visits: Annotated[int, typer.Option(help="visits of the churn; 0 leaves it out")] = 50,
    churn_minutes: Annotated[float, typer.Option(help="its length")] = 10.0,
) -> None:
    """Print every figure as JSON."""
    parts: list[Callable[[], Any]] = [lambda n=n: {"crowd": crowd(n)} for n in map(int, filter(None, visitors.split(",")))]
    parts += [lambda: {"starts": starts(turns)}] if turns else []
    parts += [lambda: {"churn": churn(churn_visits, churn_minutes)}] if churn_visits else []
    for part in parts:
        print(json.dumps(part(), indent=1), flush=True)


if __name__ == "__main__":
    typer.run(main)
