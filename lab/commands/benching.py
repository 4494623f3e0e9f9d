"""``gradlab bench``: the benchmarks, in a process of their own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from lab.commands.child import run_child
from lab.errors import LabError


def bench(arguments: Sequence[str]) -> int:
    """Run ``python -m benchmarks`` with these arguments; returns its exit status.

    Raises ``LabError`` where the peer that it is measured against is not installed.
    """
    if find_spec("breaching") is None:
        raise LabError("The benchmarks need breaching and matplotlib; install them with: pip install -e '.[bench]'.")
    return run_child([sys.executable, "-m", "benchmarks", *arguments])
