"""With how many threads torch computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from threading import Lock
from typing import ClassVar

from lab.lazy import nn, torch

from lab.machine import resources

SMALL_NETWORK = 1_000_000
"""Below this many parameters one thread beats several (synchronising costs more than it saves)."""


def threads_for(network: nn.Module) -> int:
    """One for a small network; for a large one all the cores we may use, and never more than the user's own limit."""
    small = sum(parameter.numel() for parameter in network.parameters()) < SMALL_NETWORK
    return 1 if small else min(resources.usable_cores(), _Threads.limit())


@contextmanager
def computing(threads: int) -> Iterator[None]:
    """Within this context torch computes with at most so many threads, afterwards with as many as before.

    Never with more than the user's own limit: what torch would take by itself, which follows ``OMP_NUM_THREADS`` and
    ``torch.set_num_threads``. What torch keeps belongs to the process: of contexts in several threads the last one out
    restores that limit.
    """
    entered = _Threads.enter(threads)
    try:
        yield
    finally:
        _Threads.leave(entered)


class _Threads:
    """The limits of the process and of each of its own threads, while there are contexts that have set others."""

    lock, inside, own = Lock(), 0, 0
    here: ClassVar[ContextVar[int]] = ContextVar("limit of this thread", default=0)

    @classmethod
    def limit(cls) -> int:
        """That of the innermost context around, or the user's."""
        return cls.here.get() or (cls.own if cls.inside else torch.get_num_threads())

    @classmethod
    def enter(cls, threads: int) -> Token[int]:
        with cls.lock:
            if not cls.inside:
                cls.own = torch.get_num_threads()
            cls.inside += 1
            entered = cls.here.set(min(threads, cls.limit()))
            torch.set_num_threads(cls.here.get())
        return entered

    @classmethod
    def leave(cls, entered: Token[int]) -> None:
        with cls.lock:
            cls.here.reset(entered)
            cls.inside -= 1
            torch.set_num_threads(cls.here.get() or cls.own)
