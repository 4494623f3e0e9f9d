"""A kernel's websocket behind a guard: the same in our own server and, by configuration, in any Jupyter server.

c.ServerApp.kernel_websocket_connection_class = "widgets.serving.connection.GuardedConnection"
"""

from __future__ import annotations

import time
from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.web import HTTPError
from traitlets import Bool, Float

from widgets.serving.journal import LOG
from widgets.serving.messages import PROTOCOL, BadMessage, checked

BAD_MESSAGE, TOO_MANY, ENGINE_ENDED = 1008, 4008, 4001
"""Why a socket is closed: codes of RFC 6455 and of its private range."""


class GuardedConnection(ZMQChannelsWebsocketConnection):
    """Speaks the v1 protocol alone, checks each message before it is parsed, and counts what comes too fast."""

    messages_per_second = Float(200.0, config=True, help="What a browser may send in the long run; 0 counts nothing.")
    burst = Float(600.0, config=True, help="What it may send at once.")
    pages_only = Bool(False, config=True, help="Whether only what a page of widgets needs is sent to the browser.")

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._credit, self._counted_at = self.burst, time.monotonic()

    async def prepare(self) -> None:
        """Refuse a socket that does not speak the protocol before it is opened."""
        offered = self.websocket_handler.request.headers.get("Sec-WebSocket-Protocol", "")
        if PROTOCOL not in [word.strip() for word in offered.split(",")]:
            raise HTTPError(400, reason="Unknown protocol")
        await super().prepare()

    @property
    def write_message(self) -> Any:
        """How a message goes to the browser; none does once the socket is closed.

        A closed socket has no protocol any more. What the kernel says meanwhile would be packed as before there was one, and
        Voila, which reads every message as the present protocol's, would count up to any number that its bytes make.
        """
        return self.websocket_handler.write_message if self.subprotocol == PROTOCOL else _unsaid

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        """Hand a message on to the kernel, if it is one and does not come too fast; else close the socket."""
        if self._is_closed:
            return  # what was on its way is not listened to any more
        try:
            if self.subprotocol != PROTOCOL:
                raise BadMessage("the socket speaks no protocol")
            checked(incoming_msg)
        except BadMessage as error:
            self._close(BAD_MESSAGE, "message refused", str(error))
            return
        if not self._may_send():
            self._close(TOO_MANY, "too many messages", "more messages than allowed")
            return
        self._visitors_do("heard")
        super().handle_incoming_message(incoming_msg)

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Hand a message on to the browser; what a program printed or how it failed stays on the server."""
        if self._is_closed:
            return
        if self.pages_only and getattr(stream, "channel", stream) == "iopub" and not self._is_for_a_page(outgoing_msg):
            return
        super().handle_outgoing_message(stream, outgoing_msg)

    def connect(self) -> Any:
        """The socket is open."""
        self._visitors_do("connected")
        return super().connect()

    def disconnect(self) -> None:
        """The socket is closed."""
        self._visitors_do("disconnected")
        super().disconnect()

    def on_restart_failed(self) -> None:
        """The kernel is dead and is not started again: the page is told, and its socket closed."""
        super().on_restart_failed()
        self._close(ENGINE_ENDED, "the engine has ended", "its kernel died")

    @classmethod
    def close_all_of(cls, kernel: str) -> None:
        """Close every socket to a kernel that is about to end: its pages are told, and do not wait for it."""
        for connection in [each for each in cls._open_sockets if each.kernel_id == kernel]:
            connection._send_status_message("dead")  # by which the page's own scripts know that it will not come back
            connection.websocket_handler.close(ENGINE_ENDED, "the engine has ended")

    @property
    def _is_closed(self) -> bool:
        """Whether we have closed the socket; until the browser has, too, messages still come from both sides."""
        return self.websocket_handler.ws_connection is None

    def _visitors_do(self, what: str) -> None:
        """Tell the server's list of visitors, where it keeps one."""
        visitors = self.websocket_handler.settings.get("visitors")
        if visitors is not None:
            getattr(visitors, what)(self.kernel_id)

    def _may_send(self) -> bool:
        """A bucket that fills by ``messages_per_second`` up to ``burst``; each message takes one."""
        if not self.messages_per_second:
            return True
        now = time.monotonic()
        self._credit = min(self.burst, self._credit + (now - self._counted_at) * self.messages_per_second)
        self._counted_at = now
        self._credit -= 1
        return self._credit >= 0

    def _is_for_a_page(self, message: list[Any]) -> bool:
        _, parts = self.session.feed_identities(message)
        return self.get_part("header", None, parts[1:])["msg_type"] in FOR_PAGES

    def _close(self, code: int, told: str, reason: str) -> None:
        LOG.warning("socket closed", extra={"kernel": self.kernel_id, "reason": reason})
        self.websocket_handler.close(code, told)


def _unsaid(*message: Any, **how: Any) -> None:
    """What becomes of a message to nobody."""


FOR_PAGES = frozenset({"comm_open", "comm_msg", "comm_close", "status"})
"""What a kernel broadcasts that a page of widgets has a use for."""
