"""The watchdog: a process of its own that ends a server which no longer answers anybody."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys

BEAT_S = 1.0
"""How often a server in health says so."""
TICK_S = 0.5
MAX_SILENT_TICKS = 20
"""Ten seconds, counted in turns of the watchdog's own: on a machine that stalls, both wait."""
SENTENCE = "The lab's server has not answered for ten seconds and was ended; start it again.\n"


class Watchdog:
    """Call ``beat`` at least every second from what must not hang; who does not is killed.

    A copy of this process is made at once, so it must be young: one thread, nothing opened.
    """

    def __init__(self) -> None:
        hears, self._says = os.pipe()
        if not hasattr(os, "fork"):  # on Windows nobody watches
            return
        watched = os.getpid()
        if os.fork():
            os.close(hears)
            os.set_blocking(self._says, False)
            return
        os.close(self._says)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # it ends with the server, not before
        watch(hears, watched)
        os._exit(0)

    def beat(self) -> None:
        """All is well."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._says, b".")


def watch(hears: int, watched: int) -> None:
    """Until the pipe is closed or silent for too long; silence counts from the first beat."""
    began, silent = False, 0
    while silent < MAX_SILENT_TICKS:
        if select.select([hears], [], [], TICK_S)[0]:
            if not os.read(hears, 4096):
                return
            began, silent = True, 0
        else:
            silent += began
    with contextlib.suppress(ProcessLookupError):
        os.kill(watched, signal.SIGKILL)
    sys.stderr.write(SENTENCE)
