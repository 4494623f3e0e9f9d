"""What Voila and Jupyter are told, by our own server and by a Jupyter server that shows the page (``binder/``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parent.parent / "template"
MEBIBYTE = 2**20

PAGE: dict[str, Any] = {
    "template": "gradlab",
    "strip_sources": True,
    "show_tracebacks": False,
    "allow_template_override": "NO",
    "allow_theme_override": "NO",
    "file_allowlist": [r"favicon\.ico"],  # the page needs no file from the served folder
    "extension_allowlist": ["@voila-dashboards/widgets-manager8", "@jupyter-widgets/jupyterlab-manager", "anywidget"],
    "preheat_kernel": True,
}
"""VoilaConfiguration: the page, from our template alone."""

LESSONS: dict[str, Any] = {
    "template": "gradlab-lesson",
    "allow_template_override": "NOTEBOOK",  # the full page among them names its own; the notebooks are all ours
    "classic_tree": True,  # the table of contents, as a template of ours
    "preheat_kernel": False,
}
"""What differs for the lessons: pages of text with their contents, and no ten kernels waiting."""

EXECUTION: dict[str, Any] = {"iopub_timeout": 60, "raise_on_iopub_timeout": True}
"""VoilaExecutor: a busy engine's output is waited for; after nbclient's four seconds the page goes out without it."""

GUARD = "widgets.serving.connection.GuardedConnection"
"""The class through which a browser talks to a kernel, in every server that takes one."""

CULLING = {"cull_idle_timeout": 120, "cull_interval": 30, "cull_connected": False}
"""For a Jupyter server, which keeps no visitors: a page that is watched talks to its kernel every five seconds."""

SERVER: dict[str, Any] = {
    # Voila's own page closes its kernel with a request that lacks the token against cross-site
    # forgery, gets 403 and leaks the kernel (voila issue 1458). Nothing is lost by not asking for
    # the token: there is no login and no cookie, and a kernel answers only to who knows its id.
    "disable_check_xsrf": True,
    "websocket_max_message_size": 32 * MEBIBYTE,
    "ws_ping_interval": 5_000,  # in milliseconds; after 25 seconds without an answer, a line is cut
    "ws_ping_timeout": 25_000,
}
"""Tornado's settings in our own server."""

CONNECTIONS: dict[str, Any] = {
    "max_header_size": 32_768,
    "max_body_size": 65_536,  # nothing is posted but the request to end
    "idle_connection_timeout": 60,
    "body_timeout": 10,
}
"""What tornado's HTTP server bounds of each connection, in bytes and seconds."""
