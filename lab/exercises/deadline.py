"""A limit on how long somebody else's function may compute."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn


class TooSlow(BaseException):
    """The time is up. No ``Exception``: a student's ``except Exception`` must not swallow it."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise ``TooSlow`` inside the block once this process has computed for ``seconds``.

    Processor time, so that a busy classroom server does not fail a right answer. Only where signals reach:
    on Unix, in the main thread. Elsewhere the block may take as long as it likes.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGPROF, _too_slow)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)


def _too_slow(*_: Any) -> NoReturn:
    raise TooSlow
