"""A limit on how long somebody else's function may compute, and on how long it may wait."""

from __future__ import annotations

import ast
import inspect
import linecache
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any

TICK_S = 0.1
"""How often the watch looks."""
IDLE = 0.02
"""Below this share of a tick in computing, or in the queue for a processor, a tick was spent waiting."""
QUEUE = Path("/proc/thread-self/schedstat")
"""Linux tells there, second, how long a thread has been ready to run and did not, in nanoseconds."""
WAITING_S = 10.0
"""So much waiting is allowed: nothing in an exercise has to be waited for."""


class OutOfTime(BaseException):
    """The time is up. No ``Exception``: a student's ``except Exception`` must not swallow it."""


class Watch:
    """A block in which ``function`` may compute for ``limit_s`` and wait for ``WAITING_S``; raises ``OutOfTime`` inside it.

    Both are this thread's own: a busy classroom server, which computes for others meanwhile, fails no right answer, nor does
    a machine that stands still. A second thread wakes the block by a signal at each tick, asleep or not, and nothing but
    the ticks that arrive counts. Only where signals reach: on Unix, in the main thread. Elsewhere the block may take
    as long as it likes.
    """

    def __init__(self, function: Any, limit_s: float, usual_s: float = 0.0) -> None:
        """``usual_s`` is what a right answer takes on this machine, for the sentence; 0 where that is a moment."""
        self.code = getattr(function, "__code__", None)
        self.limit_s, self.usual_s = limit_s, usual_s
        self.used_s = self.waited_s = 0.0
        self.states: set[str] = set()
        self.told: OutOfTime | None = None
        self.possible = hasattr(signal, "pthread_kill") and threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Watch:
        self.begun, self.seen = time.thread_time(), _busy_s()
        self.over = threading.Event()
        if self.possible:
            self.handler = signal.signal(signal.SIGPROF, self._look)
            self.waker = threading.Thread(target=self._wake, args=(threading.get_ident(),), daemon=True)
            self.waker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.over.set()
        if self.possible:
            self.waker.join()
            signal.signal(signal.SIGPROF, self.handler)
            if sys.gettrace() == self._refuse:
                sys.settrace(None)
        self.used_s = time.thread_time() - self.begun

    def _wake(self, thread: int) -> None:
        while not self.over.wait(TICK_S):
            signal.pthread_kill(thread, signal.SIGPROF)

    def _look(self, _: int, frame: FrameType | None) -> None:
        """One tick, in the thread that is watched."""
        if self.over.is_set():
            return
        busy = _busy_s()
        self.waited_s += TICK_S if busy - self.seen < IDLE * TICK_S else 0.0
        self.seen, self.used_s = busy, time.thread_time() - self.begun
        own = _of(frame, self.code)
        if self.used_s > self.limit_s / 2:
            self.states.add(_state(own))
        if self.told is not None:
            self._insist(frame)
        elif self.waited_s > WAITING_S:
            self._end(_waited(own))
        elif self.used_s > self.limit_s:
            self._end(self._computed(own))

    def _end(self, sentence: str) -> None:
        self.told = OutOfTime(sentence)
        raise self.told

    def _insist(self, frame: FrameType | None) -> None:
        """It was caught by a bare ``except``: from now on every line of the function raises it again."""
        sys.settrace(self._refuse)
        while frame is not None and frame.f_code is not Watch.__enter__.__code__:
            if self.code is not None and frame.f_code.co_filename == self.code.co_filename:
                frame.f_trace = self._refuse
            frame = frame.f_back

    def _refuse(self, frame: FrameType, event: str, argument: Any) -> Any:
        if self.code is None or frame.f_code.co_filename != self.code.co_filename or self.told is None:
            return None
        raise self.told

    def _computed(self, own: FrameType | None) -> str:
        loop = _loop(own)
        if loop and (_has_no_way_out(loop) or len(self.states) == 1):
            return f"After {self.limit_s:.0f} s it was still in the loop at {_line(own, loop.lineno)}, which never ends."
        usual = f"about {self.usual_s:.1f} s" if self.usual_s >= 0.1 else "a moment"
        return (
            f"After {self.limit_s:.0f} s of computing it was still at work{_at(own)}; a right answer takes {usual} on this "
            "machine. Do less work, or look for a loop that goes on too long."
        )


def _busy_s() -> float:
    """How long this thread has computed, or stood in the queue for a processor that others used; where that is told."""
    try:
        queued_s = int(QUEUE.read_text().split()[1]) / 1e9
    except OSError:
        queued_s = 0.0
    return time.thread_time() + queued_s


def _waited(own: FrameType | None) -> str:
    return f"It waited for {WAITING_S:.0f} s without computing{_at(own)}; nothing here has to be waited for."


def _of(frame: FrameType | None, code: CodeType | None) -> FrameType | None:
    """The function's own frame among those that are running; None for what is not written in Python."""
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame


def _state(frame: FrameType | None) -> str:
    """What the function's variables hold, in short: a loop in which this stays the same gets nowhere."""
    held = {} if frame is None else frame.f_locals
    return repr([(name, id(value), getattr(value, "_version", None), _size(value)) for name, value in held.items()])


def _size(value: Any) -> int | None:
    return len(value) if isinstance(value, list | dict | set | bytearray) else None


def _line(frame: FrameType | None, number: int) -> str:
    """That line of the function's source, relative to its first one, as code."""
    if frame is None:
        return "`while`"
    return f"`{linecache.getline(frame.f_code.co_filename, frame.f_code.co_firstlineno + number - 1).strip()}`"


def _at(frame: FrameType | None) -> str:
    text = "" if frame is None else linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    return f" at `{text}`" if text else ""


def _loop(frame: FrameType | None) -> ast.While | None:
    """The innermost ``while`` around the line that is running; its lines are counted from the function's first one."""
    if frame is None:
        return None
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(frame.f_code)))
    except (OSError, TypeError, SyntaxError):
        return None
    line = frame.f_lineno - frame.f_code.co_firstlineno + 1
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.While) and node.lineno <= line <= (node.end_lineno or 0)]
    return max(loops, key=lambda node: node.lineno, default=None)


def _has_no_way_out(loop: ast.While) -> bool:
    always = isinstance(loop.test, ast.Constant) and bool(loop.test.value)
    return always and not any(isinstance(node, ast.Break | ast.Return | ast.Raise) for node in ast.walk(loop))
