"""Who is here and who waits: each visitor has one engine, and every engine ends when its visitor is gone."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from widgets.serving.settings import Settings

FORGOTTEN_S = 15.0
"""A place in the queue is kept so long without a sign from its page; so is a turn that nobody takes."""
USUAL_VISIT_S = 180.0
"""Before anybody has left."""
REMEMBERED_VISITS = 50


@dataclass(eq=False)
class Visit:
    """One visitor: a page that was asked for, and the engine behind it."""

    since: float
    name: str = field(default_factory=lambda: secrets.token_hex(4))
    """For the log."""
    kernel: str | None = None
    delivered: float | None = None
    sockets: int = 0
    last_socket: float | None = None
    last_message: float | None = None


@dataclass
class Ticket:
    """A place in the queue."""

    name: str
    seen: float
    called: float | None = None
    """When its turn came."""


@dataclass
class Visitors:
    """The visits there are, and the queue before them. Knows neither kernels nor requests; ``clock`` gives seconds."""

    settings: Settings
    clock: Callable[[], float] = time.monotonic
    visits: list[Visit] = field(default_factory=list)
    queue: dict[str, Ticket] = field(default_factory=dict)
    lengths: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED_VISITS))

    # --- the queue ---------------------------------------------------------------------------------

    def enter(self, ticket: str = "") -> Visit | None:
        """A visit for whoever may come in now; None where all places are taken or belong to others in the queue."""
        self._forget()
        called = self.queue.get(ticket)
        if not (called and called.called is not None) and not self._free_beside_those_called():
            return None
        self.queue.pop(ticket, None)
        visit = Visit(self.clock())
        self.visits.append(visit)
        return visit

    def queue_up(self) -> str | None:
        """A new ticket; None where the queue is full, too."""
        self._forget()
        if len(self.queue) >= self.settings.waiting:
            return None
        ticket = Ticket(secrets.token_urlsafe(12), self.clock())
        self.queue[ticket.name] = ticket
        return ticket.name

    def place(self, ticket: str) -> tuple[int, float] | None:
        """Place in the queue, 0 once it is one's turn, with the seconds that it may take; None for no ticket of ours."""
        self._forget()
        if ticket not in self.queue:
            return None
        self.queue[ticket].seen = self.clock()
        self._call()
        waiting = [name for name, other in self.queue.items() if other.called is None]
        if ticket not in waiting:
            return 0, 0.0
        place = 1 + waiting.index(ticket)
        return place, place * self._seconds_a_place()

    def _call(self) -> None:
        """Whoever is first is called as soon as a place is free."""
        for ticket in self.queue.values():
            if not self._free_beside_those_called():
                return
            if ticket.called is None:
                ticket.called = self.clock()

    def _free_beside_those_called(self) -> bool:
        if not self.settings.visitors:
            return True
        called = sum(ticket.called is not None for ticket in self.queue.values())
        return len(self.visits) + called < self.settings.visitors

    def _forget(self) -> None:
        now = self.clock()
        for name, ticket in list(self.queue.items()):
            if now - max(ticket.seen, ticket.called or 0) > FORGOTTEN_S:
                del self.queue[name]

    def _seconds_a_place(self) -> float:
        usual = sum(self.lengths) / len(self.lengths) if self.lengths else USUAL_VISIT_S
        return usual / max(1, self.settings.visitors)

    # --- the visits --------------------------------------------------------------------------------

    def delivered(self, visit: Visit) -> None:
        """The page is with its visitor, whose browser should connect now."""
        visit.delivered = self.clock()

    def connected(self, kernel: str) -> None:
        """A socket was opened."""
        for visit in self._of(kernel):
            visit.sockets += 1
            visit.last_socket = visit.last_message = self.clock()

    def disconnected(self, kernel: str) -> None:
        """A socket was closed."""
        for visit in self._of(kernel):
            visit.sockets = max(0, visit.sockets - 1)
            visit.last_socket = self.clock()

    def heard(self, kernel: str) -> None:
        """A page that is awake has sent something."""
        for visit in self._of(kernel):
            visit.last_message = self.clock()

    def over(self, visit: Visit) -> str:
        """Why a visit is over; empty while it is not."""
        now, told = self.clock(), self.settings
        if visit.last_socket is None:
            unclaimed = visit.delivered is not None and now - visit.delivered > told.unclaimed_seconds
            return "unclaimed" if unclaimed else ""
        if not visit.sockets:
            return "left" if now - visit.last_socket > told.left_seconds else ""
        silent = told.silent_seconds and now - (visit.last_message or now) > told.silent_seconds
        return "silent" if silent else ""

    def end(self, visit: Visit) -> None:
        """Its place is free."""
        if visit in self.visits:
            self.visits.remove(visit)
            self.lengths.append(self.clock() - visit.since)

    def _of(self, kernel: str) -> list[Visit]:
        return [visit for visit in self.visits if visit.kernel == kernel]
