"""Our own server: Voila behind a door, with a list of visitors and engines that are copies of one process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
import signal
import tempfile
from typing import Any

import tornado.ioloop
from tornado.httpserver import HTTPServer
from traitlets import Instance
from traitlets import List as ListTrait
from voila.app import Voila
from voila.request_info_handler import RequestInfoSocketHandler
from voila.tornado.handler import TornadoVoilaHandler

from widgets.serving import handlers, journal
from widgets.serving.anybody import Anybody
from widgets.serving.configuration import CONNECTIONS, SERVER
from widgets.serving.connection import GuardedConnection
from widgets.serving.door import Door
from widgets.serving.forking import ForkServer
from widgets.serving.measures import Measures
from widgets.serving.pool import tend
from widgets.serving.settings import Settings
from widgets.serving.visitors import Visit, Visitors
from widgets.serving.watchdog import BEAT_S, Watchdog
from widgets.surroundings import LOCAL

LOOK_S = 1.0
"""How often the server looks for visits that are over."""


class LabServer(Voila):
    """Serves one notebook, or a folder of them, by what the ``told`` settings say."""

    told = Instance(Settings)
    watchdog = Instance(Watchdog)
    callbacks = ListTrait(Instance(tornado.ioloop.PeriodicCallback))
    http: HTTPServer | None = None

    identity_provider_class = Anybody
    kernel_websocket_connection_class = GuardedConnection

    def init_settings(self) -> Any:
        """Voila's, with ours."""
        self.visitors = Visitors(self.told)
        self.measures = Measures(self.visitors)
        ours = {"visitors": self.visitors, "measures": self.measures, "log_function": journal.request_done}
        ours["page_turns"] = asyncio.Semaphore(os.cpu_count() or 1)  # made all at once, all pages would be done at the end
        voilas: Any = super().init_settings()
        return voilas | SERVER | ours

    def init_handlers(self) -> Any:
        """Voila's handlers but for those that nobody here needs, and ours."""
        voilas: Any = super().init_handlers()
        kept = [rule for rule in voilas if rule[1] is not RequestInfoSocketHandler]
        kept = [(rule[0], handlers.PageHandler, *rule[2:]) if rule[1] is TornadoVoilaHandler else rule for rule in kept]
        ours = [(r"/health", handlers.Health), (r"/queue", handlers.Queue)]
        ours += [(r"/metrics", handlers.Metrics)] if self.told.metrics else []
        return [*ours, *kept]

    def start(self) -> None:
        """Serve until a signal comes."""
        self.connection_dir = tempfile.mkdtemp(prefix="voila_", dir=self.connection_dir_root)
        settings = self.init_settings()
        hosts = frozenset(name.lower() for name in (*LOCAL, *self.told.hosts))
        self.app = Door(hosts, **settings)
        self.app.add_handlers(".*$", self.init_handlers())
        self.listen()

    def listen(self) -> None:
        """Open the port, look after the visitors, and come back when all is over."""
        self.http = self.app.listen(self.port, self.told.listen, **CONNECTIONS)
        self.ioloop = tornado.ioloop.IOLoop.current()
        gc.collect()
        gc.freeze()  # what is there now stays, and is not looked through again when a visit ends
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle_signal_stop)
        self._every(BEAT_S, self.watchdog.beat)
        self._every(LOOK_S, self._look)
        try:
            self.ioloop.start()
        finally:
            self.stop()

    def stop(self) -> None:
        """What is left once the loop has ended."""
        ForkServer.stop()
        shutil.rmtree(self.connection_dir, ignore_errors=True)

    def _every(self, seconds: float, callback: Any) -> None:
        self.callbacks.append(tornado.ioloop.PeriodicCallback(callback, 1000 * seconds))
        self.callbacks[-1].start()

    def _handle_signal_stop(self, sig: int, frame: Any) -> None:
        self.ioloop.add_callback_from_signal(self._end)

    async def _end(self) -> None:
        """Let nobody in, end the engines, which end their runs and their pages' sockets, and leave the loop."""
        if self.http is not None:
            self.http.stop()
            self.http = None
            journal.LOG.info("server ends")
            await asyncio.gather(*(self.leave(visit, "server ended") for visit in list(self.visitors.visits)))
            with contextlib.suppress(Exception):  # whatever is left is killed with the fork server
                await self.kernel_manager.shutdown_all(now=True)
        self.ioloop.stop()

    async def _look(self) -> None:
        """End the visits that are over, forget those whose engine has ended by itself, and keep others ready."""
        tend(self.kernel_manager, self.told.ready_engines)
        for visit in list(self.visitors.visits):
            gone = visit.kernel is not None and visit.kernel not in self.kernel_manager
            if why := "closed" if gone else self.visitors.over(visit):
                await self.leave(visit, why)

    async def leave(self, visit: Visit, why: str) -> None:
        """A visit is over: its place is free, and its engine ends."""
        if visit not in self.visitors.visits:
            return
        self.visitors.end(visit)
        self.measures.ended(why)
        journal.LOG.info("visit ended", extra={"visit": visit.name, "reason": why})
        if visit.kernel is not None:
            GuardedConnection.close_all_of(visit.kernel)
            RequestInfoSocketHandler._cache.pop(visit.kernel, None)  # which Voila keeps for ever
            tend(self.kernel_manager, self.told.ready_engines)
            if visit.kernel in self.kernel_manager:
                with contextlib.suppress(KeyError):  # it ended by itself in the meantime
                    await self.kernel_manager.shutdown_kernel(visit.kernel, now=True)
        gc.collect()  # a visit leaves circles of a megabyte, for which Python would wait until there are dozens of them
