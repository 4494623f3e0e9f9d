"""The door of the server: which requests are answered at all, and what every answer carries."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import Application, OutputTransform, RequestHandler

SENTENCES = {
    400: "The request makes no sense to this server; open the lab's page instead.",
    403: "This server does not answer such a request; open the lab at the address that it was started with.",
    404: "There is nothing here; open the lab's page instead.",
    429: "Too many requests; wait a moment, then reload the page.",
    503: "The lab is full; wait a moment, then reload the page.",
}
BROKEN = "The server could not answer; reload the page, and tell whoever runs it if it stays so."


def refusal(request: HTTPServerRequest, hosts: frozenset[str]) -> int:
    """The status with which a request is refused before any handler sees it; 0 where it may come in.

    Only names that were given are answered (a foreign name that resolves to this machine is how another site would
    borrow the browser of whoever runs it), and another site may open the page as a reader would, by a link, but
    neither ask for its parts nor frame it: each page costs an engine.
    """
    if _name(request.host) not in hosts:
        return 403
    fetch = {name: request.headers.get(f"Sec-Fetch-{name}", "") for name in ("Site", "Mode", "Dest")}
    if fetch["Site"] in ("cross-site", "same-site") and (fetch["Mode"], fetch["Dest"]) != ("navigate", "document"):
        return 403
    if "prefetch" in request.headers.get("Sec-Purpose", ""):
        return 503  # a page that nobody looks at yet would take an engine
    return 0


def _name(host: str) -> str:
    """The name in a Host header, without the port; empty where it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


class Refusal(RequestHandler):
    """Answers what must not come in."""

    def initialize(self, status: int) -> None:
        """``status`` of the answer."""
        self.status = status

    def prepare(self) -> None:
        """Answer, whatever was asked."""
        self.send_error(self.status)


class Door(Application):
    """An application that looks at each request before it looks for its handler."""

    def __init__(self, hosts: frozenset[str], **settings: Any) -> None:
        super().__init__(transforms=[SafeAnswer], **settings)
        self.hosts = hosts

    def find_handler(self, request: HTTPServerRequest, **keywords: Any) -> Any:
        """The handler of a request, or that of a refusal."""
        status = refusal(request, self.hosts)
        if status:
            return self.get_handler_delegate(request, Refusal, {"status": status})
        return super().find_handler(request, **keywords)


class SafeAnswer(OutputTransform):
    """Every answer: no version, a content security policy; an error is one sentence and no more."""

    def __init__(self, request: HTTPServerRequest) -> None:
        self.nonce = secrets.token_urlsafe(16)
        self.is_page = self.is_error = False

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """The headers and the beginning of the answer."""
        self.is_error = status_code >= 400
        if self.is_error:
            headers.pop("Etag", None)
            headers["Content-Type"] = "text/plain; charset=utf-8"
            chunk = SENTENCES.get(status_code, BROKEN).encode()
        whole = finishing or self.is_error
        self.is_page = headers.get("Content-Type", "").startswith("text/html") and (whole or "Content-Length" not in headers)
        chunk = self._signed(chunk)
        if whole and "Content-Length" in headers:
            headers["Content-Length"] = str(len(chunk))
        headers.pop("Server", None)
        headers.update(HEADERS)
        headers["Content-Security-Policy"] = policy(self.nonce)
        return status_code, headers, chunk

    def transform_chunk(self, chunk: bytes, finishing: bool) -> bytes:
        """What follows."""
        return b"" if self.is_error else self._signed(chunk)

    def _signed(self, chunk: bytes) -> bytes:
        """The scripts of our own page carry the nonce; a script that anything else brings in does not, and never runs.

        The page is written before the request for it comes, so the nonce cannot be in its template. Nothing in
        it comes from whoever asks.
        """
        return chunk.replace(b"<script", f'<script nonce="{self.nonce}"'.encode()) if self.is_page else chunk


HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), clipboard-write=(self), microphone=(), geolocation=(), payment=(), usb=()",
}


def policy(nonce: str) -> str:
    """The content security policy: everything from here, scripts by nonce, and the views' own modules as blobs."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'nonce-{nonce}' blob:",
            "style-src 'self' 'unsafe-inline' blob:",
            "img-src 'self' data: blob:",
            "media-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self' data: blob:",
            "worker-src 'self' blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'self'",
        )
    )
