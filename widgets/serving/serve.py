"""Serve the lab's page, to oneself or to many, through Voila."""

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
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from lab.errors import LabError
from lab.files.lent_folders import LENT, lend
from widgets.serving.configuration import EXECUTION, LESSONS, PAGE, TEMPLATES
from widgets.serving.settings import PUBLIC, Settings, read
from widgets.serving.watchdog import Watchdog
from widgets.surroundings import LESSONS_HERE, LOCAL, MAX_BYTES, MAX_SECONDS, NAMES, OWN_ADDRESS

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = ROOT / "notebooks"
FRONT_PAGE = "00-meet-the-lab.ipynb"
QUIET = """
get_config().IPKernelApp.log_level = "ERROR"
get_config().HistoryManager.enabled = False
"""
SHARE_OF_PROCESSOR = 0.9
"""The lab itself ends a visitor's runs a little before the system would end the engine."""


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port on this machine.")] = 8866,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    lessons: Annotated[
        bool, typer.Option("--lessons", help="The lessons of the course, to read, and the page among them.")
    ] = False,
    public: Annotated[bool, typer.Option("--public", help="For strangers: a bound on everything, and a queue.")] = False,
    settings: Annotated[Path | None, typer.Option(help="A TOML file such as deploy/gradlab.toml; for --public.")] = None,
    host: Annotated[list[str] | None, typer.Option(help="A name under which browsers reach the server.")] = None,
    listen: Annotated[str, typer.Option(help="The address to listen on, such as 0.0.0.0 in a container.")] = "",
    data: Annotated[list[Path] | None, typer.Option(help="A folder of pictures that the page offers by name.")] = None,
) -> None:
    """Serve the lab's page, or the lessons with it, until interrupted."""
    try:
        told = _told(public, settings, host or [], listen)
        _check_address(told.listen, port)
        os.environ.update({LENT: lend(data)} if data else {})  # for the engines; without any, what is set stays
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    watchdog = Watchdog()  # before anything is imported or started that a copy of this process should not have
    with tempfile.TemporaryDirectory(prefix="gradient-lab-") as folder:
        for notebook in _read_here() if lessons else (NOTEBOOKS / FRONT_PAGE,):
            shutil.copy(notebook, folder)  # a folder with nothing else in it: Voila hands out its files
        threading.Thread(target=_announce, args=(port, browser and not public), daemon=True).start()
        _run(Path(folder), port, told, watchdog, lessons=lessons, public=public)


def _read_here() -> list[Path]:
    """The page and the lessons: the notebooks with a number before their names."""
    return sorted(NOTEBOOKS.glob("[0-9][0-9]-*.ipynb"))


def _told(public: bool, file: Path | None, hosts: list[str], listen: str) -> Settings:
    """The settings: a file's or the defaults, and what the command line says over them."""
    if file is not None and not public:
        raise LabError("--settings is for a server that strangers use; give --public as well.")
    told = read(file) if file is not None else PUBLIC if public else Settings()
    return replace(told, hosts=(*told.hosts, *hosts), listen=listen or told.listen)


def _check_address(listen: str, port: int) -> None:
    """Raise ``LabError`` where the server could not listen."""
    try:
        family, _, _, _, address = socket.getaddrinfo(listen, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        raise LabError(f"{listen!r} is no address of this machine; give --listen localhost or --listen 0.0.0.0.") from None
    except PermissionError:
        raise LabError(f"Port {port} may not be used by you; choose one from 1024 on with --port.") from None
    except OSError:
        raise LabError(f"Port {port} is already in use; choose another one with --port.") from None


def _run(folder: Path, port: int, told: Settings, watchdog: Watchdog, *, lessons: bool, public: bool) -> None:
    """Hand over to Voila; the kernels find the lab and the page's template whatever the folder is."""
    _prepend("JUPYTER_PATH", TEMPLATES)
    _prepend("PYTHONPATH", ROOT)
    os.environ.setdefault("IPYTHONDIR", _quiet_profile(folder / ".ipython"))
    _tell_the_engines(told, lessons=lessons, public=public)
    from widgets.serving.forking import ForkServer

    ForkServer.start()  # imports what the engines need while Voila imports what the server does
    from traitlets.config import Config

    from widgets.serving import journal
    from widgets.serving.server import LabServer

    journal.begin(public=public)
    config = Config(_config(told, port, lessons=lessons, public=public))
    served = folder if lessons else folder / FRONT_PAGE
    LabServer.launch_instance(argv=[str(served)], config=config, told=told, watchdog=watchdog)


def _tell_the_engines(told: Settings, *, lessons: bool, public: bool) -> None:
    """By environment variables, which every engine inherits."""
    values = {
        LESSONS_HERE: "1" if lessons else "",
        MAX_BYTES: str(told.round_bytes or ""),
        NAMES: "" if told.listen in LOCAL else ",".join(told.hosts),
        OWN_ADDRESS: "" if public else _own_address(),
        MAX_SECONDS: str(int(SHARE_OF_PROCESSOR * told.engine_cpu_seconds) or ""),
    }
    os.environ.update({name: value for name, value in values.items() if value})


def _own_address() -> str:
    """The address of this machine in its network, empty where it has none; asking the system for it sends nothing."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # of a net that documents speak of and nobody has
            found = probe.getsockname()[0]
    except OSError:
        return ""
    return "" if found.startswith("127.") else found


def _config(told: Settings, port: int, *, lessons: bool, public: bool) -> dict[str, dict[str, Any]]:
    """What the parts of Voila and Jupyter read their traits from."""
    page = PAGE | {"default_pool_size": told.ready_engines} | (LESSONS if lessons else {})
    return {
        "Voila": {"port": port, "open_browser": False, "log_level": "ERROR"},  # its warnings are about things on purpose
        "VoilaConfiguration": page,
        "VoilaExecutor": EXECUTION,
        "VoilaKernelManager": {"fill_delay": 0.0},  # whoever comes next waits for an engine, not for its turn to be started
        "MappingKernelManager": {"allow_tracebacks": False},
        "KernelManager": {
            "transport": "tcp" if os.name == "nt" else "ipc",  # a port could be knocked at by others
            "client_class": "widgets.serving.client.PromptClient",
        },
        "KernelRestarter": {"restart_limit": 0},  # an engine that starts again knows nothing of its page
        "KernelProvisionerFactory": {"default_provisioner_name": "gradlab-fork"},
        "ForkProvisioner": {"most_bytes": told.engine_bytes, "most_cpu_seconds": told.engine_cpu_seconds},
        "GuardedConnection": {
            "pages_only": True,
            "messages_per_second": float(told.messages_per_second),
            "burst": 5.0 * told.messages_per_second,
        },
    }


def _quiet_profile(folder: Path) -> str:
    """A profile for the kernels in which only errors are printed, and no history of cells is written to the disk."""
    profile = folder / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text(QUIET, encoding="utf-8")
    return str(folder)


def _prepend(variable: str, folder: Path) -> None:
    others = os.environ.get(variable)
    os.environ[variable] = f"{folder}{os.pathsep}{others}" if others else str(folder)


def _announce(port: int, browser: bool) -> None:
    """Say where the page is once it answers, not before."""
    address = f"http://localhost:{port}/"
    while not _answers(f"{address}health"):
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
