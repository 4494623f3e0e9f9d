"""The pages that the server writes itself, and Voila's page with a visitor in front of it."""

from __future__ import annotations

from typing import Any

from tornado.web import HTTPError, RequestHandler
from voila.tornado.handler import TornadoVoilaHandler

from widgets.serving.journal import LOG
from widgets.serving.visitors import Visit
from widgets.serving.waiting_room import waiting_room

TURN = "gradlab-turn"
"""The cookie by which a browser whose turn has come says so."""


class PageHandler(TornadoVoilaHandler):
    """The page, for whoever may come in; the waiting room for everybody else."""

    visit: Visit

    async def get(self, path: str | None = None) -> None:
        """Write the page as its engine makes it."""
        if not self._is_a_page(path):
            raise HTTPError(404)
        visit = self.visitors.enter(self.get_cookie(TURN) or "")
        if visit is None:
            self._wait()
            return
        self.visit = visit
        if self.get_cookie(TURN):
            self.clear_cookie(TURN)
        LOG.info("visit began", extra={"visit": visit.name})
        try:
            with self.settings["measures"].page_seconds.time():
                async with self.settings["page_turns"]:
                    await self._deliver(path)
        except BaseException:
            visit.delivered = visit.since  # nobody will connect: it is over at the next look
            raise
        self.visitors.delivered(visit)

    async def _deliver(self, path: str | None) -> None:
        """Voila writes signs of life for ever where an engine ends before its page is made; so it is asked for."""
        async for html in self.get_generator(path=path):
            if not await self._lives(self.visit.kernel):
                raise HTTPError(500)
            self.write(html)
            await self.flush()

    async def _lives(self, kernel: str | None) -> bool:
        manager = self.settings["kernel_manager"]
        return kernel is None or (kernel in manager and await manager.get_kernel(kernel).is_alive())

    def write_error(self, status_code: int, **keywords: Any) -> None:
        """Nothing: the door writes its sentence, and no template sets a cookie."""
        self.finish()

    @property
    def visitors(self) -> Any:
        """The server's list."""
        return self.settings["visitors"]

    @property
    def kernel_manager(self) -> Any:
        """The manager, watched for which engine it hands out."""
        return _HandingOut(self.settings["kernel_manager"], self.visit)

    def _is_a_page(self, path: str | None) -> bool:
        return not path if self.notebook_path else bool(path) and path.endswith(".ipynb")

    def _wait(self) -> None:
        ticket = self.visitors.queue_up()
        if ticket is None:
            raise HTTPError(503)
        self.set_status(200)
        self.set_header("Cache-Control", "no-store")
        self.finish(waiting_room(ticket, TURN))


class _HandingOut:
    """A kernel manager that notes on a visit which engine it gets; everything else as it is."""

    def __init__(self, manager: Any, visit: Visit) -> None:
        self._manager, self._visit = manager, visit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    async def get_rendered_notebook(self, **keywords: Any) -> Any:
        """One that was kept ready."""
        task, cache, self._visit.kernel = await self._manager.get_rendered_notebook(**keywords)
        return task, cache, self._visit.kernel

    async def start_kernel(self, **keywords: Any) -> str:
        """One that is started now."""
        self._visit.kernel = kernel = await self._manager.start_kernel(**keywords)
        return kernel


class Health(RequestHandler):
    """Whether the server answers, for whoever restarts it if not."""

    def get(self) -> None:
        """As JSON."""
        visitors = self.settings["visitors"]
        self.finish({"status": "ok", "visitors": len(visitors.visits), "waiting": len(visitors.queue)})


class Metrics(RequestHandler):
    """What Prometheus collects."""

    def get(self) -> None:
        """In its text format."""
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.finish(self.settings["measures"].text())


class Queue(RequestHandler):
    """How far a ticket has come."""

    def get(self) -> None:
        """Place (0: it is your turn) and seconds, as JSON."""
        place = self.settings["visitors"].place(self.get_argument("ticket", "")[:64])
        if place is None:
            raise HTTPError(404)
        self.finish({"place": place[0], "seconds": round(place[1])})
