"""A visitor without a browser: fetches the page, speaks the page's protocol, runs the default attack.

It costs a hundredth of a browser's processor time, so that a crowd of visitors fits on the machine that serves them.
What it sends is what the page's scripts send (``widgets/playback/playback.js``, ``widgets/views/transport.js``).
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import websockets
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1, serialize_msg_to_ws_v1
from tornado.httpclient import AsyncHTTPClient
from websockets.typing import Subprotocol

from widgets.pages.written import MIME
from widgets.serving.messages import PROTOCOL

OUTPUT = re.compile(r'<script [^>]*type="application/vnd.voila.cell-output\+json">(.*?)</script>', re.DOTALL)
KERNEL = re.compile(r'"kernelId":\s*"([\w-]+)"')
HEARTBEAT_S = 5.0
LARGEST = 64 * 2**20


@dataclass
class Visitor:
    """One visitor of the lab at ``address``; every figure is in seconds since it asked for the page."""

    address: str
    page: str = ""
    kernel: str = ""
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    moments: dict[str, float] = field(default_factory=dict)
    verdict: str = ""
    psnr_db: float | None = None
    _socket: websockets.ClientConnection | None = None
    _pulse: asyncio.Task[None] | None = None

    async def fetch(self) -> None:
        """Ask for the page; it is whole when its engine has run the notebook."""
        self._began = time.perf_counter()
        answer = await _browser().fetch(self.address, request_timeout=600, connect_timeout=600)
        self.page = answer.body.decode()
        found = KERNEL.search(self.page)
        if found is None:
            raise RuntimeError("the page names no engine: the server is full")
        self.kernel = found[1]
        self.models = _written(self.page)
        self._note("page")

    async def connect(self) -> None:
        """Open the socket and ask for what has changed since the page was written, as the page does."""
        session = uuid.uuid4().hex
        address = f"{self.address.replace('http', 'ws', 1)}api/kernels/{self.kernel}/channels?session_id={session}"
        self._socket = await websockets.connect(
            address, subprotocols=[Subprotocol(PROTOCOL)], max_size=LARGEST, open_timeout=300
        )
        for widget in ("Playback", "Lab"):
            await self.say(widget, {"type": "hello"})
        self._pulse = asyncio.create_task(self._beat())

    async def attack(self, *, as_fast_as_it_goes: bool = True) -> None:
        """Run what the page shows to its end."""
        await self._until_status("ready", "finished")
        self._note("ready")
        if as_fast_as_it_goes:
            await self.say("Transport", {"type": "pace", "seconds": 0.0})
        await self.say("Transport", {"type": "start"})
        await self._until_status("finished")
        self._note("verdict")

    async def leave(self, *, politely: bool = True) -> None:
        """Close the page, however far it has come; a crashed browser says nothing."""
        if self._pulse is not None:
            self._pulse.cancel()
        if politely and self.kernel:
            await _browser().fetch(f"{self.address}voila/api/shutdown/{self.kernel}", method="POST", body="")
        if self._socket is not None:
            await self._socket.close()

    @property
    def reached(self) -> str:
        """The last moment that was reached, for whoever wants to know where a visit stands or has failed."""
        return next(reversed(self.moments), "nothing")

    async def visit(self) -> Visitor:
        """Everything from the page to the verdict; stays on the page."""
        await self.fetch()
        await self.connect()
        await self.attack()
        return self

    @property
    def socket(self) -> websockets.ClientConnection:
        """The socket to the engine, which ``connect`` opens."""
        assert self._socket is not None
        return self._socket

    @property
    def status(self) -> str:
        """The session's, as the page shows it."""
        return self.models.get("Playback", {}).get("state", {}).get("status", "")

    async def say(self, widget: str, content: dict[str, Any]) -> None:
        """A message of a widget's script to its Python side."""
        data = {"method": "custom", "content": content}
        await self._send("comm_msg", {"comm_id": self.models[widget]["comm_id"], "data": data})

    async def until(self, there: Callable[[], bool]) -> None:
        """Take what the server sends until something is there."""
        while not there():
            await self._take(await self.socket.recv())

    async def _until_status(self, *wanted: str) -> None:
        """Raises ``RuntimeError`` with the session's own words where it fails."""
        await self.until(lambda: self.status in (*wanted, "failed"))
        if self.status not in wanted:
            raise RuntimeError(self.models["Playback"]["state"].get("message", "the session has failed"))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self.say("Playback", {"type": "heartbeat"})

    async def _send(self, kind: str, content: dict[str, Any]) -> None:
        header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "username": "", "session": "", "date": "", "version": "5.3"}
        parts = [json.dumps(part).encode() for part in (header, {}, {"version": "1.0.0"}, content)]
        await self.socket.send(serialize_msg_to_ws_v1(parts, "shell"))

    async def _take(self, message: Any) -> None:
        _, (header, _, _, content, *_) = deserialize_msg_from_ws_v1(message)
        if json.loads(header)["msg_type"] != "comm_msg":
            return
        told = json.loads(content)
        data = told["data"]
        if data.get("method") == "update":
            for model in self.models.values():
                if model["comm_id"] == told["comm_id"]:
                    model.update(data["state"])
        elif data.get("method") == "custom" and data["content"].get("type") == "frame":
            frame = data["content"]
            self.verdict, self.psnr_db = frame["verdict"], frame["measures"]["psnr_db"]
            await self.say("Playback", {"type": "drawn", "frame": frame["id"]})

    def _note(self, moment: str) -> None:
        self.moments[moment] = time.perf_counter() - self._began


def _written(page: str) -> dict[str, dict[str, Any]]:
    """The state of each widget of a page by the name of its class, as ``start.js`` finds it in the page."""
    outputs = [json.loads(text).get("data") or {} for text in OUTPUT.findall(page)]
    models = next(data[MIME]["models"] for data in outputs if MIME in data)
    return {
        model["state"]["_anywidget_id"].rpartition(".")[2]: model["state"] | {"comm_id": id} for id, model in models.items()
    }


def _browser() -> AsyncHTTPClient:
    """A client of its own: tornado's shared one asks for ten pages at once and lets the others wait."""
    return AsyncHTTPClient(force_instance=True)
