"""Where to compute: CUDA, Apple's MPS or the CPU, and with how many threads."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

from lab.errors import LabError, unknown_name

SMALL_NETWORK = 1_000_000
"""Below this many parameters one thread beats several (synchronising costs more than it saves)."""

CGROUP = Path("/sys/fs/cgroup")


def choose(name: str = "auto") -> torch.device:
    """The device called ``name`` ("auto", "cpu", "cuda", "mps"). Raises ``LabError`` where it is not there."""
    available = available_devices()
    if name == "auto":
        return torch.device(available[0])
    if name not in ("cpu", "cuda", "mps"):
        raise unknown_name("device", name, ("auto", "cpu", "cuda", "mps"))
    if name not in available:
        raise LabError(f"The device {name!r} is not available on this machine; choose one of: auto, {', '.join(available)}.")
    return torch.device(name)


def available_devices() -> list[str]:
    """The devices of this machine, fastest first."""
    found = ["cuda"] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    return [*found, "cpu"]


def describe(device: torch.device) -> str:
    """The device in words a reader knows: "CPU, 1 thread" or the graphics card's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def can_fall_back(error: RuntimeError, device: torch.device) -> bool:
    """Whether the error says that an accelerator's memory ran out, so that the CPU can take over."""
    return device.type != "cpu" and "out of memory" in str(error).lower()


def set_threads(network: nn.Module) -> int:
    """One thread for a small network, all the cores we may use for a large one; returns the count."""
    small = sum(parameter.numel() for parameter in network.parameters()) < SMALL_NETWORK
    threads = 1 if small else usable_cores()
    torch.set_num_threads(threads)
    return threads


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
