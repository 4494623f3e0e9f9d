"""Serve the lab's page on this machine, through Voila."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from widgets.serving.surroundings import LESSONS_HERE

FOLDER = Path(__file__).parent.parent
NOTEBOOKS = FOLDER.parent / "notebooks"
PAGE = NOTEBOOKS / "00-meet-the-lab.ipynb"
MEBIBYTE = 2**20

SETTINGS: dict[str, dict[str, Any]] = {
    "Voila": {
        # Voila's own page closes its kernel with a request that lacks the token against cross-site
        # forgery, gets 403 and leaks the kernel (voila issue 1458). Nothing is lost by not asking for
        # the token: there is no login and no cookie, and a kernel answers only to who knows its id.
        "tornado_settings": {"disable_check_xsrf": True, "websocket_max_message_size": 32 * MEBIBYTE},
        "port_retries": 0,
        "log_level": "ERROR",  # its warnings are about things that are so on purpose
    },
    "VoilaConfiguration": {
        "template": "gradlab",
        "strip_sources": True,
        "show_tracebacks": False,
        "allow_template_override": "NO",
        "allow_theme_override": "NO",
        "file_allowlist": [r"favicon\.ico"],  # the page needs no file from the served folder
        "extension_allowlist": ["@voila-dashboards/widgets-manager8", "@jupyter-widgets/jupyterlab-manager", "anywidget"],
        "preheat_kernel": True,
        "default_pool_size": 1,
    },
    "MappingKernelManager": {"cull_idle_timeout": 120, "cull_interval": 30, "cull_connected": False},
}
"""A page that is watched talks to its kernel every five seconds; one that is not is closed after two minutes."""

LESSONS: dict[str, Any] = {
    "template": "gradlab-lesson",
    "allow_template_override": "NOTEBOOK",  # the full page among them names its own; the notebooks are all ours
    "classic_tree": True,  # the table of contents, as a template of ours
    "preheat_kernel": False,
}
"""What differs for the lessons: pages of text with their contents, and no ten kernels waiting."""


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port on this machine.")] = 8866,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    lessons: Annotated[
        bool, typer.Option("--lessons", help="The lessons of the course, to read, and the page among them.")
    ] = False,
) -> None:
    """Serve the lab's page, or the lessons with it, until interrupted."""
    if not _is_free(port):
        sys.stderr.write(f"Port {port} is already in use; choose another one with --port.\n")
        raise SystemExit(2)
    with tempfile.TemporaryDirectory(prefix="gradient-lab-") as folder:
        for notebook in sorted(NOTEBOOKS.glob("0*.ipynb")) if lessons else (PAGE,):
            shutil.copy(notebook, folder)  # a folder with nothing else in it: Voila hands out its files
        threading.Thread(target=_announce, args=(port, browser), daemon=True).start()
        _run(Path(folder), port, lessons=lessons)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _run(folder: Path, port: int, *, lessons: bool) -> None:
    """Hand over to Voila; the kernels find the lab and the page's template whatever the folder is."""
    _prepend("JUPYTER_PATH", FOLDER / "template")
    _prepend("PYTHONPATH", FOLDER.parent)
    os.environ.setdefault("IPYTHONDIR", _quiet_profile(folder / ".ipython"))
    from traitlets.config import Config
    from voila.app import Voila

    config = Config(SETTINGS)
    config.Voila.port = port
    config.Voila.open_browser = False
    if lessons:
        os.environ[LESSONS_HERE] = "1"
        config.VoilaConfiguration.update(LESSONS)
    Voila.launch_instance(argv=[str(folder if lessons else folder / PAGE.name)], config=config)


def _quiet_profile(folder: Path) -> str:
    """A profile for the kernels in which only errors are printed."""
    profile = folder / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text('get_config().IPKernelApp.log_level = "ERROR"\n', encoding="utf-8")
    return str(folder)


def _prepend(variable: str, folder: Path) -> None:
    others = os.environ.get(variable)
    os.environ[variable] = f"{folder}{os.pathsep}{others}" if others else str(folder)


def _announce(port: int, browser: bool) -> None:
    """Say where the page is once it answers, not before."""
    address = f"http://localhost:{port}/"
    while not _answers(f"{address}voila/static/voila.js"):
        time.sleep(0.1)
    sys.stdout.write(f"The lab is at {address} (stop it with Ctrl+C).\n")
    sys.stdout.flush()
    if browser:
        webbrowser.open(address)


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=2).close()
    except urllib.error.HTTPError:
        return True  # any answer is an answer
    except OSError:
        return False
    return True
