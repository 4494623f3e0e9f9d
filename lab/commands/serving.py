"""``gradlab serve``: the page, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

from lab.errors import LabError

LOWEST_PORT, HIGHEST_PORT = 1, 65535


def serve(port: int, *, browser: bool) -> int:
    """Run the page's server until it ends; signals are passed on; returns its exit status.

    Raises ``LabError`` for a port that cannot exist; the server itself says so where one is taken.
    """
    if not LOWEST_PORT <= port <= HIGHEST_PORT:
        raise LabError(f"--port {port} is out of range; give a port from {LOWEST_PORT} to {HIGHEST_PORT}, such as 8866.")
    opening = "--browser" if browser else "--no-browser"
    return run_child([sys.executable, "-m", "widgets.serve", "--port", str(port), opening])


def run_child(command: list[str]) -> int:
    """Run a command with our signals passed on to it; its exit status, 128 + N where signal N ended it."""
    child: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, frame: Any) -> None:
        if child is None:
            raise KeyboardInterrupt
        child.send_signal(number)

    # The handlers come first: a child would inherit an ignored Ctrl-C, as a shell's background jobs have it.
    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        # In a session of its own, so that Ctrl-C in a terminal reaches it once, through us, and not twice.
        child = subprocess.Popen(command, start_new_session=True)
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 - code if code < 0 else code
