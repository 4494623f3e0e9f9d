"""A limit on how long somebody else's function may take."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn


class TooSlow(BaseException):
    """The time is up. No ``Exception``: a student's ``except Exception`` must not swallow it."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise ``TooSlow`` inside the block once ``seconds`` have passed.

    Only where signals reach: on Unix, in the main thread. Elsewhere the block may take as long as it likes.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    began = time.monotonic()
    handler, (left, interval) = signal.signal(signal.SIGALRM, _too_slow), signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:  # somebody else's alarm was running: it goes on with what is left of it
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, left - (time.monotonic() - began)), interval)


def _too_slow(*_: Any) -> NoReturn:
    raise TooSlow
