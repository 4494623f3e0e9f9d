"""Where to compute: CUDA, Apple's MPS or the CPU, and with how many threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from pathlib import Path
from threading import Lock
from typing import ClassVar

from lab.lazy import nn, torch

from lab.errors import LabError, unknown_name

SMALL_NETWORK = 1_000_000
"""Below this many parameters one thread beats several (synchronising costs more than it saves)."""

NAMES = ("auto", "cpu", "cuda", "mps")

CGROUP = Path("/sys/fs/cgroup")


def choose(name: str = "auto") -> torch.device:
    """The device called ``name`` ("auto", "cpu", "cuda", "mps"). Raises ``LabError`` where it is not there."""
    check_name(name)
    available = available_devices()
    if name == "auto":
        return torch.device(available[0])
    if name not in available:
        raise LabError(f"The device {name!r} is not available on this machine; choose one of: auto, {', '.join(available)}.")
    return torch.device(name)


def check_name(name: str) -> None:
    """Raise ``LabError`` for what is the name of no kind of device."""
    if name not in NAMES:
        raise unknown_name("device", name, NAMES)


def available_devices() -> list[str]:
    """The devices of this machine, fastest first."""
    found = ["cuda"] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    return [*found, "cpu"]


def describe(device: torch.device, network: nn.Module) -> str:
    """The device on which this network is attacked, in words a reader knows: "CPU, 1 thread" or the graphics card's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    threads = threads_for(network)
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def can_fall_back(error: RuntimeError, device: torch.device) -> bool:
    """Whether the error says that an accelerator's memory ran out, so that the CPU can take over."""
    return device.type != "cpu" and "out of memory" in str(error).lower()


def threads_for(network: nn.Module) -> int:
    """One for a small network; for a large one all the cores we may use, and never more than the user's own limit."""
    small = sum(parameter.numel() for parameter in network.parameters()) < SMALL_NETWORK
    return 1 if small else min(usable_cores(), _Threads.limit())


@contextmanager
def computing(threads: int) -> Iterator[None]:
    """Within this context torch computes with at most so many threads, afterwards with as many as before.

    Never with more than the user's own limit: what torch would take by itself, which follows ``OMP_NUM_THREADS`` and
    ``torch.set_num_threads``. What torch keeps belongs to the process: of contexts in several threads the last one out
    restores that limit.
    """
    entered = _Threads.enter(threads)
    try:
        yield
    finally:
        _Threads.leave(entered)


class _Threads:
    """The limits of the process and of each of its own threads, while there are contexts that have set others."""

    lock, inside, own = Lock(), 0, 0
    here: ClassVar[ContextVar[int]] = ContextVar("limit of this thread", default=0)

    @classmethod
    def limit(cls) -> int:
        """That of the innermost context around, or the user's."""
        return cls.here.get() or (cls.own if cls.inside else torch.get_num_threads())

    @classmethod
    def enter(cls, threads: int) -> Token[int]:
        with cls.lock:
            if not cls.inside:
                cls.own = torch.get_num_threads()
            cls.inside += 1
            entered = cls.here.set(min(threads, cls.limit()))
            torch.set_num_threads(cls.here.get())
        return entered

    @classmethod
    def leave(cls, entered: Token[int]) -> None:
        with cls.lock:
            cls.here.reset(entered)
            cls.inside -= 1
            torch.set_num_threads(cls.here.get() or cls.own)


def memory() -> float:
    """Bytes that this process may use: the machine's, or the container's share of them; infinite where nobody tells."""
    found = [float("inf")]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            found.append(float((CGROUP / file).read_text()))
    return min(found)


def usable_cores() -> int:
    """The cores that this process may use: affinity, and the container's quota where there is one."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, affinity if quota is None else min(affinity, int(quota)))


def _cgroup_quota() -> float | None:
    """The CPU quota of control groups, version 2 or 1, in cores; None where there is none."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((CGROUP / file).read_text() for file in files).split()
            return None if quota in ("max", "-1") else int(quota) / int(period)
        except (OSError, ValueError):
            continue
    return None
