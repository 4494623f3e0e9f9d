"""Limits that the system itself holds a kernel to (Linux's prlimit(2))."""

from __future__ import annotations

import re
import sys
from pathlib import Path

UNTIL_IMPORTED = 2 * 2**30
"""What a kernel that is started anew takes for its imports; a copy has them already."""


def limit(pid: int, most_bytes: int, most_cpu_seconds: int, *, imported: bool) -> None:
    """Give a process of ours so much memory beyond what it has, and so much processor time in all; 0 sets no limit.

    A kernel that asks for more memory gets an error from torch or Python, which ends a run; one that takes more
    processor time is ended. Does nothing where the system knows no such limits.
    """
    if sys.platform != "linux":
        return
    import resource

    if most_bytes:
        whole = data_bytes(pid) + most_bytes + (0 if imported else UNTIL_IMPORTED)
        resource.prlimit(pid, resource.RLIMIT_DATA, (whole, whole))
    if most_cpu_seconds:
        resource.prlimit(pid, resource.RLIMIT_CPU, (most_cpu_seconds, most_cpu_seconds))


def data_bytes(pid: int) -> int:
    """What RLIMIT_DATA counts of a process: its private memory that can be written to."""
    found = re.search(r"^VmData:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return 1024 * int(found[1]) if found else 0
