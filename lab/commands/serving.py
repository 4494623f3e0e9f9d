"""``gradlab serve``: the page, in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from lab.commands.child import run_child
from lab.errors import LabError

LOWEST_PORT, HIGHEST_PORT = 1, 65535


def serve(port: int, words: Sequence[str] = ()) -> int:
    """Run the page's server until it ends; signals are passed on; returns its exit status.

    ``words`` are further options of ``python -m widgets.serving``. Raises ``LabError`` for a port that cannot exist;
    the server itself says so where one is taken.
    """
    if not LOWEST_PORT <= port <= HIGHEST_PORT:
        raise LabError(f"--port {port} is out of range; give a port from {LOWEST_PORT} to {HIGHEST_PORT}, such as 8866.")
    return run_child([sys.executable, "-m", "widgets.serving", "--port", str(port), *words])
