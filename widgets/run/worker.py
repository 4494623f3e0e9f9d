"""One thread that does one job at a time, and the valve through which an attack is watched."""

from __future__ import annotations

import atexit
import math
import queue
import threading
import time
from collections.abc import Callable

Job = Callable[[], None]


class Worker:
    """A single thread; jobs queue up and never overlap.

    It is stopped and joined at exit: a thread still inside torch when the interpreter ends aborts the process.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="attack", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def submit(self, job: Job) -> None:
        """Do ``job`` after those already waiting. It must catch its own exceptions."""
        self._jobs.put(job)

    def close(self) -> None:
        """Let the present job end and wait for the thread; stop the job first."""
        atexit.unregister(self.close)
        self._jobs.put(None)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


class Valve:
    """How many more states an attack may be asked for: none (paused), some (steps) or all (running)."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._credit = 0.0
        self._stopped = False

    def open(self, states: float = math.inf) -> None:
        """Allow so many states from now on; without a number, all of them."""
        with self._condition:
            self._credit = states
            self._condition.notify_all()

    def shut(self) -> None:
        """Pause before the next state."""
        self.open(0)

    def stop(self) -> None:
        """Ask for no more, ever."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    @property
    def running(self) -> bool:
        """Whether another state may be asked for right now."""
        return self._credit > 0 and not self._stopped

    @property
    def stopped(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stopped

    def take(self) -> bool:
        """Wait until a state is allowed; False once stopped."""
        with self._condition:
            self._condition.wait_for(lambda: self._stopped or self._credit > 0)
            self._credit -= 1
            return not self._stopped

    def rest(self, seconds: float) -> None:
        """Wait so long, but no longer than until pause or stop."""
        until = time.monotonic() + seconds
        with self._condition:
            while self.running and (left := until - time.monotonic()) > 0:
                self._condition.wait(left)
