"""One thread that does one job at a time, and the gate through which an attack is watched."""

from __future__ import annotations

import asyncio
import atexit
import math
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from widgets.door.quiet import quietly
from widgets.door.sentences import sentence

Job = Callable[[], None]
T = TypeVar("T")


class Gate:
    """How many more states an attack may be asked for: none (paused), some (steps) or all (running)."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._credit = 0.0
        self._stopped = False
        self.dropped = False
        """Whether nobody wants to know any more what comes of it."""

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

    def drop(self) -> None:
        """Ask for no more, and tell nobody how it ended."""
        self.dropped = True
        self.stop()

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


class Worker:
    """A single thread; jobs queue up and never overlap, and what comes of them is told on the kernel's event loop.

    It is stopped and joined at exit: a thread still inside torch when the interpreter ends aborts the process.
    """

    def __init__(self, trouble: Callable[[], None]) -> None:
        """``trouble`` is called after whoever was told something has failed. Raises ``LabError`` outside a notebook."""
        self._loop = _running_loop()
        self._trouble = trouble
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._gates: list[Gate] = []  # of all jobs that have not ended
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="attack", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def do(
        self,
        job: Callable[[], T],
        gate: Gate,
        failed: Callable[[str], None],
        done: Callable[[T], None] = lambda found: None,
    ) -> None:
        """Do ``job`` after those already waiting; tell ``failed`` in a sentence what it raises, or ``done`` what it returns.

        Nobody is told once the gate, which the job must heed, is dropped.
        """
        self._gates.append(gate)
        self._jobs.put(lambda: self._do(job, gate, failed, done))

    def tell(self, gate: Gate, callback: Callable[..., None], *arguments: Any) -> None:
        """From a job: call back on the event loop, unless the gate is dropped by then."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._told, gate, partial(callback, *arguments))

    def close(self) -> None:
        """Stop the present job, leave those waiting undone, and wait for the thread."""
        atexit.unregister(self.close)
        self._closed = True
        for gate in list(self._gates):
            gate.stop()
        self._jobs.put(None)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _do(self, job: Callable[[], T], gate: Gate, failed: Callable[[str], None], done: Callable[[T], None]) -> None:
        if not (gate.dropped or self._closed):
            try:
                found = job()
            except Exception as error:  # a thread's exception shows nowhere else
                self.tell(gate, failed, sentence(error))
            else:
                self.tell(gate, done, found)
        self._gates.remove(gate)

    def _told(self, gate: Gate, callback: Callable[[], None]) -> None:
        if not gate.dropped and not quietly(callback):
            self._trouble()


def _running_loop() -> asyncio.AbstractEventLoop:
    """The kernel's event loop; raises ``LabError`` outside a notebook."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        from lab.errors import LabError

        raise LabError(
            "The page was asked for outside a notebook; use it in JupyterLab, run gradlab serve, or use lab in a script."
        ) from None
