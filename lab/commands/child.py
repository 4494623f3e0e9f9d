"""A command of ours in a process of its own."""

from __future__ import annotations

import signal
import subprocess
from typing import Any


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
