"""The memory of this process as Linux tells it: resident, its own, and the highest it has been."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

from lab.errors import LabError

PROC = Path("/proc/self")


def _field(file: str, name: str) -> int:
    """A field in bytes."""
    try:
        lines = (PROC / file).read_text().splitlines()
    except OSError:
        raise LabError("Memory is measured through Linux's /proc; run this benchmark on Linux.") from None
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def resident() -> int:
    """RSS in bytes: all pages in memory, those shared with other processes or backed by libraries among them."""
    return _field("smaps_rollup", "Rss")


def own() -> int:
    """USS in bytes: what would come back if the process ended, the fair share of a visitor on a busy server."""
    return _field("smaps_rollup", "Private_Clean") + _field("smaps_rollup", "Private_Dirty")


def highest() -> int:
    """The highest RSS in bytes since the start or the last ``forget_highest``."""
    return _field("status", "VmHWM")


def forget_highest() -> None:
    """The high-water mark begins anew at the present RSS."""
    (PROC / "clear_refs").write_text("5")


def settle() -> None:
    """Collect garbage and hand freed memory back to the system, so that RSS is what is really held."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
