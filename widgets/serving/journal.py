"""The server's log: one JSON object a line, with no picture, no address and nothing that a visitor has typed."""

from __future__ import annotations

import logging
from typing import Any

LOG = logging.getLogger("gradlab.server")


class NothingOfRequests(logging.Filter):
    """Takes the arguments out of what tornado says of a request: they hold its address and its query."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Everything is logged, but tornado's own sentences without what they are about."""
        if record.name.startswith("tornado"):
            record.msg, record.args = str(record.msg).partition("%")[0].strip(), ()
        return True


def begin(*, public: bool) -> None:
    """Write to standard error: everything as JSON on a public server, only what is broken on one's own machine."""
    handler = logging.StreamHandler()
    handler.addFilter(NothingOfRequests())
    if public:
        from pythonjsonlogger.json import JsonFormatter

        handler.setFormatter(JsonFormatter("{asctime}{levelname}{name}{message}", style="{"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING if public else logging.ERROR, force=True)
    LOG.setLevel(logging.INFO if public else logging.ERROR)
    logging.getLogger("tornado.general").setLevel(logging.ERROR)  # it warns of Jupyter's own pings


def request_done(handler: Any) -> None:
    """Tornado's log of requests: the status alone, where something is wrong with us."""
    if handler.get_status() >= 500:
        LOG.error("request failed", extra={"status": handler.get_status(), "seconds": round(handler.request.request_time(), 3)})
